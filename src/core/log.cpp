#include "deeppcr/core/log.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>

#include "deeppcr/core/error.hpp"

namespace deeppcr::log {

void configure(const std::string& level, bool speaks) {
  const auto parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off") {
    throw input_error(
        "--log-level {}: unknown level; allowed: trace, debug, info, warn, error, off", level);
  }
  auto logger = std::make_shared<spdlog::logger>(
      "deeppcr", std::make_shared<spdlog::sinks::stderr_color_sink_st>());
  logger->set_pattern("[%H:%M:%S] %^%l%$: %v");
  logger->set_level(speaks ? parsed : spdlog::level::off);
  spdlog::set_default_logger(logger);
}

}  // namespace deeppcr::log
