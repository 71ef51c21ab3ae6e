#include "app/named_files.hpp"

#include <filesystem>

#include "app/config.hpp"
#include "app/ends.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/io/safetensors.hpp"
#include "deeppcr/io/trace.hpp"

namespace deeppcr::app {

namespace fs = std::filesystem;

std::vector<std::string> image_files(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed))
    if (entry.path().filename().string().find("ubyte") != std::string::npos)
      files.push_back(entry.path().string());
  return files;
}

namespace {

/// Existing files that the options name, and what --restart asks for; of a folder the images in it,
/// of weights in several files all of them.
std::vector<io::ReadFile> read_files(const cli::Options& known, const OptionValues& values) {
  std::vector<io::ReadFile> files;
  std::error_code failed;
  for (const cli::Option& option : known.all()) {
    if (!option.spec.reads) continue;
    const std::string& name = option.spec.name;
    const std::string path = values.text(name);
    if (fs::is_directory(path, failed)) {
      for (const std::string& file : image_files(path)) files.push_back({name, file});
    } else if (!path.empty() && (name == "restart" || fs::exists(path, failed))) {
      for (const std::string& file : io::weights_files(path)) files.push_back({name, file});
    }
  }
  return files;
}

/// Files that the options name, and those that come with them.
std::vector<io::WrittenFile> written_files(const cli::Options& known, const OptionValues& values) {
  // Runs that the clock saves by default write a checkpoint at a stop, too.
  const bool saves = known.has("checkpoint-every") && known.defaults().real("checkpoint-every") > 0;
  std::vector<io::WrittenFile> files;
  for (const cli::Option& option : known.all()) {
    if (option.spec.writes.empty()) continue;
    const std::string path = values.text(option.spec.name), format = option.spec.writes;
    if (!path.empty()) files.push_back({option.spec.name, path, format});
    for (const auto role : {models::LayerRole::embedding, models::LayerRole::head})
      if (format == file_format::kModule && !path.empty() &&
          !values.text(models::to_string(role)).empty())
        files.push_back({"", module_beside(path, role), format});
    if (format == file_format::kCheckpoint && (!path.empty() || saves)) {
      const std::string used = path.empty() ? default_checkpoint(values.text("trace")) : path;
      if (path.empty()) files.push_back({"", used, format});
      files.push_back({"", link_target(used) + ".1", format});
    }
    const std::string states = values.text("trace-states");
    if (format == file_format::kTrace && !path.empty() && !states.empty() && states != "none")
      files.push_back({"", io::Trace::states_path(link_target(path)), file_format::kStates});
  }
  return files;
}

}  // namespace

std::vector<io::WrittenFile> check_written_files(const cli::Options& known,
                                                 const OptionValues& values,
                                                 const parallel::Communicator& comm) {
  const std::vector<io::WrittenFile> files = written_files(known, values);
  if (files.empty()) return files;
  parallel::agree(comm, [&] {
    if (comm.is_root())
      io::check_written_files(files, read_files(known, values), values.flag("force"));
  });
  return files;
}

}  // namespace deeppcr::app
