#pragma once

#include <string>

namespace deeppcr::app {

/// Version of the program and of the libraries under it, one a line.
std::string version_text();

}  // namespace deeppcr::app
