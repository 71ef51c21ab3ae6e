#pragma once

#include <string>

namespace deeppcr::io {

/// An existing file may be replaced only when it is a trace. A path under which nothing exists is
/// fine. @throws Error (this rank)
void check_replaceable(const std::string& path);

}  // namespace deeppcr::io
