// Scaling on simulated clusters, as a program of its own: job_scripts/simulate.sh builds and runs
// it.
#include "deeppcr/cli/output.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "simulate.hpp"

int main(int argc, char** argv) {
  using namespace deeppcr;
  const cli::Command command{"simulate",
                             "passes of chains on all ranks, against one rank",
                             "",
                             bench::add_simulate_options,
                             bench::run_simulate,
                             false,
                             "deeppcr-simulate"};
  parallel::Runtime runtime(argc, argv);
  return runtime.run([&](const parallel::Communicator& comm) {
    const cli::Words words = cli::cut(argc, argv);
    for (const std::string& word : words.own) {
      if (word != "--help") continue;
      if (comm.is_root()) cli::print_out(cli::command_help(command));
      return 0;
    }
    const OptionValues options = cli::parse(command, {command}, words.own, comm);
    return command.run(options, {comm, "deeppcr-simulate", "", {}, false, false});
  });
}
