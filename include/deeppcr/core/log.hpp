#pragma once

#include <spdlog/spdlog.h>

#include <string>

namespace deeppcr::log {

/// Sends log lines to stderr, from `speaks` ranks only. Level: trace, debug, info, warn, error,
/// off.
/// @throws Error for an unknown level
void configure(const std::string& level, bool speaks);

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

}  // namespace deeppcr::log
