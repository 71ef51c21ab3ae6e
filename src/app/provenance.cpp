#include "app/provenance.hpp"

#include <sstream>

namespace deeppcr::app {

io::Provenance provenance(const Context& context) {
  io::Provenance about = io::Provenance::collect(context.comm);
  about.command_line = context.command_line;
  about.configuration = context.configuration;
  std::istringstream lines(context.configuration);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.find(" = ") != std::string::npos) about.options_set.push_back(line);
  }
  for (const std::string& word : context.petsc_options) about.options_set.push_back(word);
  return about;
}

}  // namespace deeppcr::app
