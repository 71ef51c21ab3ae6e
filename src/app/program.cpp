#include "deeppcr/app/program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "app/interrupts.hpp"
#include "app/option_values.hpp"
#include "app/output.hpp"
#include "app/parse.hpp"
#include "app/run_lock.hpp"
#include "app/suggest.hpp"
#include "app/version.hpp"
#include "app/written_files.hpp"
#include "deeppcr/app/command.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {
namespace {

void print_on_root(const parallel::Communicator& comm, const std::string& text) {
  if (comm.is_root()) print_out("{}", text);
}

std::string join(int argc, char** argv) {
  return fmt::format("{}", fmt::join(argv, argv + argc, " "));
}

/// PETSc does not tell which options it knows; these are the ones that users of chains ask for.
const std::vector<std::string> kPetscOptions{"-snes_monitor",
                                             "-snes_view",
                                             "-snes_converged_reason",
                                             "-snes_type",
                                             "-snes_max_it",
                                             "-snes_linesearch_type",
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
                                             "-options_left",
                                             "-snes_linesearch_monitor"};

/// Options that nothing has asked for are most often misspelt.
void warn_of_unused(const std::vector<std::string>& given) {
  if (given.empty()) return;
  for (const std::string& option : parallel::Runtime::unused_petsc_options()) {
    const std::string name = option.substr(0, option.find(' '));
    if (name == "-log_view" || name == "-options_left") continue;  // asked for at PETSc's very end
    const bool known =
        std::find(kPetscOptions.begin(), kPetscOptions.end(), name) != kPetscOptions.end();
    const std::string guess = known ? "" : did_you_mean(name, kPetscOptions);
    log::warn("PETSc option '{}' was not used by anything in this run{}{}", option,
              guess.empty() ? "" : "; ", guess);
  }
}

/// Options of PETSc's solvers ask for the nonlinear solver that takes them, where none is named.
void name_petsc_solver(const Words& words, const Command& command,
                       std::vector<std::string>& options) {
  const auto begins = [](const std::string& word, const char* prefix) {
    return word.rfind(prefix, 0) == 0;
  };
  const bool asks = std::any_of(words.petsc.begin(), words.petsc.end(), [&](const auto& word) {
    return begins(word, "-snes_") || begins(word, "-ksp_") || begins(word, "-pc_");
  });
  const bool named = std::any_of(options.begin(), options.end(), [&](const auto& word) {
    return begins(word, "--nonlinear") || begins(word, "--config");
  });
  if (!asks || named || options_of(command).find_nothrow("nonlinear", false) == nullptr) return;
  for (const nonlinear::CatalogueEntry& entry : nonlinear::catalogue()) {
    if (!entry.make()->is_petsc()) continue;
    options.insert(options.end(), {"--nonlinear", entry.name});
    return;
  }
}

/// `rest`: the words behind what the command is called by.
int run_command(const Command& command, const Words& words, std::vector<std::string> rest,
                const std::string& command_line, const parallel::Communicator& comm) {
  for (const std::string& word : rest) {
    if (word == "--help" || word == "-h") {
      print_on_root(comm, command_help(command));
      return 0;
    }
  }
  name_petsc_solver(words, command, rest);
  const auto options = parse(command, rest, comm);
  const std::vector<WrittenFile> written = check_written_files(options_of(command), options, comm);
  parallel::Runtime::add_petsc_options(words.petsc);
  const Context context{comm,
                        command_line,
                        configuration_text(command, options),
                        words.petsc,
                        options["quiet"].as<bool>(),
                        options["json"].as<bool>()};
  if (command.has_safe_points) stop_before_start(comm);
  std::vector<RunLock> locks;
  for (const WrittenFile& file : written)
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
    print_on_root(comm, general_help());
    return 0;
  }
  if (first.empty()) throw input_error("no command given; see deeppcr --help");
  const Command& command = find_command(first);
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
  prepare_standard_streams();
  const Words words = cut(argc, argv);
  hold_signals(has_safe_points(only, words));
  parallel::Runtime runtime(argc, argv, words.petsc);
  const int code = runtime.run([&](const parallel::Communicator& comm) {
    return close_report(comm, run_words(only, words, join(argc, argv), comm));
  });
  // mpirun ends all ranks when the first one leaves with a code: what was printed must be out by
  // then
  std::fflush(nullptr);
  return code;
}

}  // namespace

int run(int argc, char** argv) { return run_program(nullptr, argc, argv); }

int run(const Command& command, int argc, char** argv) { return run_program(&command, argc, argv); }

}  // namespace deeppcr::app
