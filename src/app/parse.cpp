#include "app/parse.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "app/config.hpp"
#include "app/config_text.hpp"
#include "app/options.hpp"
#include "app/stored_model.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"

namespace deeppcr::app {
namespace {

namespace po = boost::program_options;

/// Long options only, never guessed from their beginning.
constexpr int option_style = po::command_line_style::allow_long |
                             po::command_line_style::long_allow_adjacent |
                             po::command_line_style::long_allow_next;

/// Where the parser puts words without dashes.
constexpr const char* kBareWords = "words without dashes";

void add_common_options(po::options_description& options) {
  add_group(options, "Reporting",
            {flag_option("help", "this text"),
             read_file("config",
                       "read options from FILE: 'key = value' lines under [COMMAND], comments "
                       "behind ' #' and in lines that begin with ';'; the command line wins"),
             flag_option("quiet", "no progress and no table"),
             flag_option("json", "print the report as one JSON object on stdout"),
             word_option("log-level", "warn", {"trace", "debug", "info", "warn", "error", "off"},
                         "what to tell on stderr: trace, debug, info, warn, error, off")});
}

std::vector<std::string> names_of(const po::options_description& options) {
  std::vector<std::string> names;
  for (const auto& option : options.options()) names.push_back(option->long_name());
  return names;
}

bool has(const po::options_description& options, const std::string& name) {
  return options.find_nothrow(name, false) != nullptr;
}

std::string name_of(const Command& command) {
  return *command.program != '\0' ? command.program : command.name;
}

/// The error for a word of the command line that is no option.
Error unknown_word(const Command& command, const std::string& word,
                   const po::options_description& options) {
  const std::string bare = word.substr(std::min(word.find_first_not_of('-'), word.size()));
  const bool one_dash = word.size() > 1 && word[0] == '-' && word[1] != '-';
  const std::string guess = did_you_mean(bare.substr(0, bare.find('=')), names_of(options), "--");
  const std::string hint = !guess.empty() ? guess
                           : one_dash     ? "PETSc's options come behind ' -- '"
                                          : fmt::format("see {} --help", call_of(command));
  return input_error("'{}' is no option of '{}'; {}", word, name_of(command), hint);
}

/// Refuses unknown options; gives a word without dashes to the command's positional option, if it
/// has one.
void sort_words(const Command& command, const po::options_description& options,
                std::vector<po::option>& parsed) {
  bool free = *command.positional != '\0';
  for (po::option& option : parsed) {
    const bool bare = option.string_key == kBareWords && option.position_key >= 0;
    if (option.unregistered || (bare && !free))
      throw unknown_word(command, option.original_tokens.at(0), options);
    if (!bare) continue;
    option.string_key = command.positional;
    free = false;
  }
}

void store_command_line(const Command& command, const std::vector<std::string>& words,
                        const po::options_description& options, po::variables_map& values) {
  po::positional_options_description positional;
  positional.add(kBareWords, -1);
  try {
    po::parsed_options parsed = po::command_line_parser(words)
                                    .options(options)
                                    .positional(positional)
                                    .style(option_style)
                                    .allow_unregistered()
                                    .run();
    sort_words(command, options, parsed.options);
    po::store(parsed, values);
  } catch (const po::error& error) {
    throw input_error("{}; see {} --help", error.what(), call_of(command));
  }
}

/// Refuses a section or key of a file that no command of the program knows.
void check_file_key(const std::vector<Command>& all, const std::string& file,
                    const std::string& section, const std::string& key) {
  std::vector<std::string> known;
  for (const Command& command : all) {
    if (!section.empty() && section != command.name) continue;
    const std::vector<std::string> names = names_of(options_of(command));
    known.insert(known.end(), names.begin(), names.end());
  }
  if (known.empty()) {
    std::vector<std::string> sections;
    for (const Command& command : all) sections.emplace_back(command.name);
    throw input_error("{}: unknown section [{}]; allowed: {}", file, section,
                      fmt::join(sections, ", "));
  }
  if (key == "config" || key == "help")
    throw input_error("{}: '{}' is for the command line; leave it out", file, key);
  if (std::find(known.begin(), known.end(), key) == known.end()) {
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
    throw input_error("{}: '{}' is no option{}; {}", file, key,
                      section.empty() ? "" : fmt::format(" of [{}]", section),
                      did_you_mean(key, known));
  }
}

/// The whole file, by rank 0: it may lie on one computer only. Collective.
std::string text_of(const std::string& file, const parallel::Communicator& comm) {
  std::string text;
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream content;
    const bool opened = stream.is_open() && !std::filesystem::is_directory(file);
    if (opened) content << stream.rdbuf();
    if (!opened || stream.bad())
      throw local_input_error("--config {}: no such file, or it cannot be read", file);
    text = content.str();
  });
  comm.broadcast(text, 0);
  return text;
}

/// Whether a value in a file says nothing: it repeats the default, and chooses no entry.
bool says_nothing(const po::options_description& options, const ConfigEntry& entry) {
  const auto& all = options.options();
  const bool chooses = std::any_of(all.begin(), all.end(), [&](const auto& option) {
    return selector_of(*option) == entry.key;
  });
  return !chooses && default_text(options.find(entry.key, false)) == entry.value;
}

/// Options of a file that are meant for the command: those in its section and those before any
/// section.
po::parsed_options read_file(const Command& command, const std::string& file,
                             const std::string& text, const po::options_description& options) {
  po::parsed_options chosen(&options);
  const std::vector<Command> all =
      *command.program != '\0' ? std::vector<Command>{command} : commands();
  for (const ConfigEntry& entry : parse_config_text(file, text)) {
    check_file_key(all, file, entry.section, entry.key);
    const bool meant = entry.section.empty() || entry.section == command.name;
    if (!meant || !has(options, entry.key) || says_nothing(options, entry)) continue;
    chosen.options.push_back(option_of(entry));
  }
  return chosen;
}

void store_file(const Command& command, const std::string& file, const std::string& text,
                const po::options_description& options, po::variables_map& values) {
  try {
    po::store(read_file(command, file, text, options), values);
  } catch (const Error& error) {
    const std::string what = error.what();
    throw what.find(file) == std::string::npos ? input_error("{}: {}", file, what) : error;
  } catch (const po::error& error) {
    throw input_error("{}: {}", file, error.what());
  }
}

}  // namespace

Words cut(int argc, char** argv) {
  const std::vector<std::string> all(argv + std::min(argc, 1), argv + argc);
  const auto dashes = std::find(all.begin(), all.end(), "--");
  return {{all.begin(), dashes}, {dashes == all.end() ? dashes : dashes + 1, all.end()}};
}

po::option option_of(const ConfigEntry& entry) { return {entry.key, {entry.value}}; }

const Command& find_command(const std::string& name) {
  std::vector<std::string> known;
  for (const Command& command : commands()) {
    if (name == command.name) return command;
    known.emplace_back(command.name);
  }
  const std::string guess = did_you_mean(name, known);
  throw input_error("'{}' is no command; {}", name,
                    guess.empty() ? fmt::format("allowed: {}", fmt::join(known, ", ")) : guess);
}

po::options_description options_of(const Command& command) {
  po::options_description options(kHelpColumns);
  command.add_options(options);
  add_common_options(options);
  return options;
}

po::variables_map parse(const Command& command, const std::vector<std::string>& words,
                        const parallel::Communicator& comm) {
  const po::options_description options = options_of(command);
  po::variables_map values;
  // the first to store a value wins
  store_command_line(command, words, options, values);
  const std::string file = values["config"].as<std::string>();
  if (!file.empty()) store_file(command, file, text_of(file, comm), options, values);
  log::configure(values["log-level"].as<std::string>(), comm.is_root());
  adopt_stored_model(options, values, comm);
  select_entries(options, values);
  po::notify(values);
  return values;
}

std::string configuration_text(const Command& command, const po::variables_map& options) {
  const po::options_description known = options_of(command);
  std::string lines = fmt::format("[{}]\n", command.name);
  for (const auto& entry : options) {
    const std::string value = value_text(entry.second.value());
    const bool about_run = entry.first == "help" || entry.first == "config";
    if (about_run || value.empty() || is_idle(known, options, entry.first)) continue;
    const bool from_file = entry.first == "batch" && !text_of(options, "input").empty();
    if (!from_file || given(options, "batch"))
      lines += fmt::format("{} = {}\n", entry.first, value);
  }
  return lines;
}

std::string general_help() {
  std::string lines = "usage: deeppcr COMMAND [options] [-- PETSc options]\n\ncommands:\n";
  for (const Command& command : commands())
    lines += fmt::format("  {:<10} {}\n", command.name, command.help);
  return lines +
         "\n  deeppcr COMMAND --help   options of a command, with defaults and units\n"
         "  deeppcr --version        version of the program and of its libraries\n\n"
         "Runs on one process or many: mpirun -n 4 deeppcr ...\n"
         "Exit codes: 0 done, 1 bad input, 2 the numerics failed, 3 internal error or a report "
         "that\n"
         "could not be written, 85 stopped in order with a checkpoint.\n";
}

std::string command_help(const Command& command) {
  std::ostringstream lines;
  const std::string word =
      *command.positional != '\0' ? fmt::format(" {}", command.positional) : "";
  lines << fmt::format("usage: {}{} [options] [-- PETSc options]\n\n{}\n", call_of(command), word,
                       command.help);
  lines << options_of(command);
  return lines.str();
}

}  // namespace deeppcr::app
