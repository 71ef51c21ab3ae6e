#include "deeppcr/plan/automatic.hpp"

#include <algorithm>

#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/nonlinear/shooting.hpp"

namespace deeppcr::plan {
namespace {

constexpr const char* kName = "auto";

std::unique_ptr<nonlinear::Solver> make(const nonlinear::Settings& settings) {
  nonlinear::ShootingOptions options;
  options.rtol = settings.tolerance.rtol;
  options.atol = settings.tolerance.atol;
  options.max_sweeps = std::max(0, settings.max_iterations);
  options.fallback = settings.fallback;
  options.chunks = settings.own.whole("chunks");
  options.newton = true;
  options.newton_options.rtol = settings.tolerance.rtol;
  options.newton_options.atol = settings.tolerance.atol;
  if (settings.max_iterations >= 0) options.newton_options.max_iterations = settings.max_iterations;
  options.newton_options.fallback = settings.fallback;
  return std::make_unique<nonlinear::Shooting>(options);
}

}  // namespace

void add_automatic() {
  const auto& all = nonlinear::catalogue();
  const bool there =
      std::any_of(all.begin(), all.end(), [](const auto& entry) { return entry.name == kName; });
  if (there) return;
  nonlinear::CatalogueEntry entry;
  entry.name = kName;
  entry.help = "shooting, newton or sequential, whichever promises to be fastest";
  for (const OptionSpec& option : nonlinear::find("shooting").options)
    if (option.name == "chunks") entry.options.push_back(option);
  entry.backward = [](const OptionValues&) { return std::string(kName); };
  entry.make_with = make;
  nonlinear::add_to_catalogue(std::move(entry));
}

}  // namespace deeppcr::plan
