#include "app/config.hpp"
#include "app/generate.hpp"
#include "app/run_commands.hpp"
#include "app/train_config.hpp"
#include "deeppcr/app/command.hpp"

namespace deeppcr::app {

/// The only table of commands; src/app/README.md says how to add one.
const std::vector<Command>& commands() {
  static const std::vector<Command> table{
      {"solve", "forward pass of a chain, by any method", "", add_run_options, run_solve, true},
      {"gradient", "loss and gradients: forward and backward pass", "", add_gradient_options,
       run_gradient, true},
      {"train", "training of a classifier of images, restartable", "", add_train_options, run_train,
       true},
      {"evaluate", "score of a checkpoint of train on test images", "", add_evaluate_options,
       run_evaluate},
      {"generate", "diffusion sampling, all denoising steps in parallel", "", add_generate_options,
       run_generate, true},
      {"check", "self-check of a model's derivatives", "", add_check_options, run_check},
      {"inspect", "what a trace or checkpoint holds, and whether it is intact", "file",
       add_inspect_options, run_inspect},
  };
  return table;
}

std::string call_of(const Command& command) {
  return *command.program != '\0' ? command.program : std::string("deeppcr ") + command.name;
}

}  // namespace deeppcr::app
