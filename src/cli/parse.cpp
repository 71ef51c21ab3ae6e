#include <algorithm>
#include <boost/program_options.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "deeppcr/cli/command.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"

namespace deeppcr::cli {
namespace {

namespace po = boost::program_options;

/// Width of the text that --help prints.
constexpr unsigned kHelpColumns = 100;

/// Long options only, never guessed from their beginning.
constexpr int option_style = po::command_line_style::allow_long |
                             po::command_line_style::long_allow_adjacent |
                             po::command_line_style::long_allow_next;

/// Where the parser puts words without dashes.
constexpr const char* kBareWords = "words without dashes";

void add_common_options(Options& options) {
  options.add("Reporting",
              {flag_option("help", "this text"),
               read_file("config",
                         "read options from FILE: 'key = value' lines under [COMMAND], comments "
                         "behind ' #' and in lines that begin with ';'; the command line wins"),
               flag_option("quiet", "no progress and no table"),
               flag_option("json", "print the report as one JSON object on stdout"),
               word_option("log-level", "warn", {"trace", "debug", "info", "warn", "error", "off"},
                           "what to tell on stderr: trace, debug, info, warn, error, off")});
}

/// What --help shows behind an option's name: "N (=1024)"; nothing for a switch.
po::typed_value<std::string>* as_boost_has_it(const OptionSpec& spec) {
  auto* value = po::value<std::string>();
  if (spec.kind == OptionSpec::Kind::flag) return value->zero_tokens();
  const std::string shown = spec.kind == OptionSpec::Kind::text    ? spec.placeholder
                            : spec.kind == OptionSpec::Kind::whole ? "N"
                            : spec.kind == OptionSpec::Kind::real  ? "X"
                                                                   : "NAME";
  return value->value_name(spec.otherwise.empty() ? shown
                                                  : fmt::format("{} (={})", shown, spec.otherwise));
}

/// The options as Boost cuts command lines by them and prints them; values are ours.
po::options_description described(const Options& options) {
  po::options_description all(kHelpColumns);
  for (const Options::Group& group : options.groups()) {
    po::options_description part(group.title, kHelpColumns);
    for (const Option& option : group.options)
      part.add_options()(option.spec.name.c_str(), as_boost_has_it(option.spec),
                         option.spec.help.c_str());
    all.add(part);
  }
  return all;
}

std::string name_of(const Command& command) {
  return *command.program != '\0' ? command.program : command.name;
}

/// The error for a word of the command line that is no option.
Error unknown_word(const Command& command, const std::string& word, const Options& options) {
  const std::string bare = word.substr(std::min(word.find_first_not_of('-'), word.size()));
  const bool one_dash = word.size() > 1 && word[0] == '-' && word[1] != '-';
  const std::string guess = did_you_mean(bare.substr(0, bare.find('=')), options.names(), "--");
  const std::string hint = !guess.empty() ? guess
                           : one_dash     ? "PETSc's options come behind ' -- '"
                                          : fmt::format("see {} --help", call_of(command));
  return input_error("'{}' is no option of '{}'; {}", word, name_of(command), hint);
}

std::vector<po::option> cut_into_options(const Command& command,
                                         const std::vector<std::string>& words,
                                         const Options& options) {
  const po::options_description described = cli::described(options);
  po::positional_options_description positional;
  positional.add(kBareWords, -1);
  try {
    return po::command_line_parser(words)
        .options(described)
        .positional(positional)
        .style(option_style)
        .allow_unregistered()
        .run()
        .options;
  } catch (const po::error& error) {
    throw input_error("{}; see {} --help", error.what(), call_of(command));
  }
}

/// A word without dashes goes to the command's positional option, if it has one.
void read_command_line(const Command& command, const std::vector<std::string>& words,
                       const Options& options, OptionValues& values) {
  bool free = *command.positional != '\0';
  for (const po::option& option : cut_into_options(command, words, options)) {
    const bool bare = option.string_key == kBareWords && option.position_key >= 0;
    if (option.unregistered || (bare && !free))
      throw unknown_word(command, option.original_tokens.at(0), options);
    const std::string name = bare ? command.positional : option.string_key;
    if (bare) free = false;
    if (values.given(name)) throw input_error("--{} is given more than once; leave one out", name);
    values.set(name, option.value.empty() ? "true" : option.value.front());
  }
}

/// Refuses a section or key of a file that no command of the program knows.
void check_file_key(const std::vector<Command>& all, const std::string& file,
                    const std::string& section, const std::string& key) {
  std::vector<std::string> known;
  for (const Command& command : all) {
    if (!section.empty() && section != command.name) continue;
    const std::vector<std::string> names = options_of(command).names();
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

/// Options of a file that are meant for the command: those in its section and those before any
/// section. What the command line has given stays; a value that repeats the default, and chooses no
/// entry, says nothing.
void take_file(const Command& command, const std::vector<Command>& commands,
               const std::string& file, const std::string& text, const Options& options,
               OptionValues& values) {
  const OptionValues typed = values;
  const std::vector<Command> all =
      *command.program != '\0' ? std::vector<Command>{command} : commands;
  try {
    for (const ConfigEntry& entry : parse_config_text(file, text)) {
      check_file_key(all, file, entry.section, entry.key);
      const bool meant = entry.section.empty() || entry.section == command.name;
      if (!meant || !options.has(entry.key) || typed.given(entry.key)) continue;
      if (values.given(entry.key))
        throw input_error("'{}' is given before the sections and in [{}]; leave one out", entry.key,
                          command.name);
      const bool is_default = options.defaults().text(entry.key) == entry.value;
      if (!is_default || options.is_selector(entry.key)) values.set(entry.key, entry.value);
    }
  } catch (const Error& error) {
    const std::string what = error.what();
    throw what.find(file) == std::string::npos ? input_error("{}: {}", file, what) : error;
  }
}

}  // namespace

std::string call_of(const Command& command) {
  return *command.program != '\0' ? command.program : std::string("deeppcr ") + command.name;
}

Options options_of(const Command& command) {
  Options options;
  command.add_options(options);
  add_common_options(options);
  return options;
}

const Command& find_command(const std::vector<Command>& commands, const std::string& name) {
  std::vector<std::string> known;
  for (const Command& command : commands) {
    if (name == command.name) return command;
    known.emplace_back(command.name);
  }
  const std::string guess = did_you_mean(name, known);
  throw input_error("'{}' is no command; {}", name,
                    guess.empty() ? fmt::format("allowed: {}", fmt::join(known, ", ")) : guess);
}

Words cut(int argc, char** argv) {
  const std::vector<std::string> all(argv + std::min(argc, 1), argv + argc);
  const auto dashes = std::find(all.begin(), all.end(), "--");
  return {{all.begin(), dashes}, {dashes == all.end() ? dashes : dashes + 1, all.end()}};
}

OptionValues parse(const Command& command, const std::vector<Command>& commands,
                   const std::vector<std::string>& words, const parallel::Communicator& comm,
                   const Adjust& adjust) {
  const Options options = options_of(command);
  OptionValues values = options.defaults();
  read_command_line(command, words, options, values);
  const std::string file = values.text("config");
  if (!file.empty()) take_file(command, commands, file, text_of(file, comm), options, values);
  log::configure(values.word("log-level"), comm.is_root());
  if (adjust) adjust(values);
  options.select_entries(values);
  return values;
}

std::string configuration_text(const Command& command, const OptionValues& values) {
  const Options known = options_of(command);
  std::vector<std::string> names = known.names();
  std::sort(names.begin(), names.end());
  std::string lines = fmt::format("[{}]\n", command.name);
  for (const std::string& name : names) {
    const std::string value = values.text(name);
    const bool about_run = name == "help" || name == "config";
    // How many samples there are, where nobody says, is up to the file.
    const bool from_file = name == "batch" && !values.text("input").empty() && !values.given(name);
    if (about_run || from_file || value.empty() || known.is_idle(values, name)) continue;
    lines += fmt::format("{} = {}\n", name, value);
  }
  return lines;
}

std::string general_help(const std::vector<Command>& commands) {
  std::string lines = "usage: deeppcr COMMAND [options] [-- PETSc options]\n\ncommands:\n";
  for (const Command& command : commands)
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
  lines << described(options_of(command));
  return lines.str();
}

}  // namespace deeppcr::cli
