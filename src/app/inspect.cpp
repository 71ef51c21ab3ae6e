#include "app/option_values.hpp"
#include "app/run_commands.hpp"
#include "app/storage.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::app {

void add_inspect_options(boost::program_options::options_description& options) {
  boost::program_options::options_description group("File", kHelpColumns);
  group.add_options()("file", read_file(), "a trace, checkpoint, weights or results file");
  options.add(group);
}

int run_inspect(const boost::program_options::variables_map& options, const Context& context) {
  const std::string& file = options["file"].as<std::string>();
  if (file.empty()) throw input_error("inspect needs a file: deeppcr inspect run.h5");
  storage::inspect(context, file);
  return static_cast<int>(ExitCode::success);
}

}  // namespace deeppcr::app
