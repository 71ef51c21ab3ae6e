#include "deeppcr/app/program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "app/config.hpp"
#include "app/generate.hpp"
#include "app/interrupts.hpp"
#include "app/named_files.hpp"
#include "app/run_commands.hpp"
#include "app/stored_model.hpp"
#include "app/train_config.hpp"
#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/cli/output.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/provenance.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {
namespace {

using cli::Command;
using cli::Words;

void print_on_root(const parallel::Communicator& comm, const std::string& text) {
  if (comm.is_root()) cli::print_out(text);
}

std::string join(int argc, char** argv) {
  return fmt::format("{}", fmt::join(argv, argv + argc, " "));
}

/// Version of the program and of the libraries under it, one a line.
std::string version_text() {
  return fmt::format("deeppcr {} ({})\nPETSc {}, {}-bit indices\n{}\n{}\nBLAS: {}\n",
                     io::program_version(), io::git_commit(), parallel::petsc_version(),
                     parallel::petsc_index_bits(), parallel::mpi_version(), io::hdf5_version(),
                     blocks::blas_library());
}

/// PETSc does not list which options it knows; these are the ones that users of chains ask for.
const std::vector<std::string> kPetscOptions{"-snes_monitor",
                                             "-snes_view",
                                             "-snes_converged_reason",
                                             "-snes_type",
                                             "-snes_max_it",
                                             "-snes_linesearch_type",
                                             "-snes_linesearch_monitor",
                                             "-ksp_type",
                                             "-ksp_rtol",
                                             "-ksp_max_it",
                                             "-ksp_monitor",
                                             "-ksp_view",
                                             "-ksp_converged_reason",
                                             "-pc_type",
                                             "-pc_deeppcr_method",
                                             "-pc_factor_mat_solver_type",
                                             "-sub_pc_type",
                                             "-sub_ksp_type",
                                             "-log_view",
                                             "-options_left"};

bool begins(const std::string& word, const char* prefix) { return word.rfind(prefix, 0) == 0; }

/// Whether it is meant for PETSc's solvers.
bool of_solvers(const std::string& option) {
  return begins(option, "-snes_") || begins(option, "-ksp_") || begins(option, "-pc_");
}

/// The name of the nonlinear solver that takes the options of PETSc's.
std::string petsc_solver() {
  for (const nonlinear::CatalogueEntry& entry : nonlinear::catalogue())
    if (entry.make()->is_petsc()) return entry.name;
  return "";
}

/// Options of PETSc's solvers ask for the nonlinear solver that takes them, where none is named.
void name_petsc_solver(const Words& words, const Command& command,
                       std::vector<std::string>& options) {
  const bool asks = std::any_of(words.petsc.begin(), words.petsc.end(), of_solvers);
  const bool named = std::any_of(options.begin(), options.end(), [](const std::string& word) {
    return begins(word, "--nonlinear") || begins(word, "--config");
  });
  if (!asks || named || !options_of(command).has("nonlinear")) return;
  options.insert(options.end(), {"--nonlinear", petsc_solver()});
}

/// Options that nothing has asked for are misspelt, or for a solver that did not run.
void warn_of_unused(const std::vector<std::string>& given) {
  if (given.empty()) return;
  for (const std::string& option : parallel::Runtime::unused_petsc_options()) {
    const std::string name = option.substr(0, option.find(' '));
    if (name == "-log_view" || name == "-options_left") continue;  // asked for at PETSc's very end
    const auto& all = kPetscOptions;
    const bool known = std::find(all.begin(), all.end(), name) != all.end();
    std::string hint = known ? "" : did_you_mean(name, all);
    if (hint.empty() && of_solvers(name))
      hint = fmt::format("--nonlinear {} takes those of SNES, KSP and PC", petsc_solver());
    log::warn("PETSc option '{}' was not used by anything in this run; {}", option,
              hint.empty() ? "leave it out, or correct its name" : hint);
  }
}

/// `rest`: the words behind what the command is called by.
int run_command(const Command& command, const Words& words, std::vector<std::string> rest,
                const std::string& command_line, const parallel::Communicator& comm) {
  for (const std::string& word : rest) {
    if (word == "--help" || word == "-h") {
      print_on_root(comm, cli::command_help(command));
      return 0;
    }
  }
  name_petsc_solver(words, command, rest);
  const OptionValues options =
      cli::parse(command, commands(), rest, comm,
                 [&](OptionValues& values) { adopt_stored_model(values, comm); });
  const auto written = check_written_files(options_of(command), options, comm);
  parallel::Runtime::add_petsc_options(words.petsc);
  const cli::Context context{
      comm,        command_line,          configuration_text(command, options),
      words.petsc, options.flag("quiet"), options.flag("json")};
  if (command.has_safe_points) stop_before_start(comm);
  std::vector<io::RunLock> locks;
  for (const io::WrittenFile& file : written)
    if (!file.option.empty()) locks.emplace_back(comm, file.option, file.path);
  const int code = command.run(options, context);
  warn_of_unused(words.petsc);
  return code;
}

/// `only`: the command of a program of one; none: the first word names one of deeppcr's.
int run_words(const Command* only, const Words& words, const std::string& command_line,
              const parallel::Communicator& comm) {
  const std::string first = words.own.empty() ? "" : words.own.front();
  if (first == "--version") {
    print_on_root(comm, version_text());
    return 0;
  }
  if (only != nullptr) return run_command(*only, words, words.own, command_line, comm);
  if (first == "--help" || first == "-h" || first == "help") {
    print_on_root(comm, cli::general_help(commands()));
    return 0;
  }
  if (first.empty()) throw input_error("no command given; see deeppcr --help");
  const Command& command = cli::find_command(commands(), first);
  return run_command(command, words, {words.own.begin() + 1, words.own.end()}, command_line, comm);
}

/// Whether the command that is asked for ends in order at signals.
bool has_safe_points(const Command* only, const Words& words) {
  if (only != nullptr) return only->has_safe_points;
  const std::vector<Command>& all = commands();
  return !words.own.empty() && std::any_of(all.begin(), all.end(), [&](const Command& command) {
    return command.has_safe_points && command.name == words.own.front();
  });
}

int run_program(const Command* only, int argc, char** argv) {
  cli::prepare_standard_streams();
  const Words words = cli::cut(argc, argv);
  hold_signals(has_safe_points(only, words));
  parallel::Runtime runtime(argc, argv, words.petsc);
  const int code = runtime.run([&](const parallel::Communicator& comm) {
    return cli::close_report(comm, run_words(only, words, join(argc, argv), comm));
  });
  // mpirun ends all ranks when the first one leaves with a code: what was printed must be out by
  // then
  std::fflush(nullptr);
  return code;
}

}  // namespace

/// The only table of commands; src/app/README.md says how to add one.
const std::vector<Command>& commands() {
  static const std::vector<Command> table{
      {"solve", "forward pass of a chain, by any method", "", add_run_options, run_solve, true},
      {"gradient", "loss and gradients: forward and backward pass", "", add_gradient_options,
       run_gradient, true},
      {"train", "training of a classifier or predictor of images or sequences, restartable", "",
       add_train_options, run_train, true},
      {"evaluate", "score of a checkpoint of train on other samples", "", add_evaluate_options,
       run_evaluate},
      {"stream", "predictions for frames as they come, by ranks that each have a range of layers",
       "", add_stream_options, run_stream, true},
      {"generate", "diffusion sampling, all denoising steps in parallel", "", add_generate_options,
       run_generate, true},
      {"check", "self-check of a model's derivatives", "", add_check_options, run_check},
      {"inspect", "what a trace or checkpoint holds, and whether it is intact", "file",
       add_inspect_options, run_inspect},
  };
  return table;
}

int run(int argc, char** argv) { return run_program(nullptr, argc, argv); }

int run(const Command& command, int argc, char** argv) { return run_program(&command, argc, argv); }

}  // namespace deeppcr::app
