#include "chains.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "deeppcr/cli/options.hpp"

namespace deeppcr::bench {
namespace {

NamedChain mlp(const char* activation) {
  NamedChain chain;
  chain.name = fmt::format("mlp {}", activation);
  chain.options.model = "mlp";
  chain.options.set("activation", activation);
  chain.forgets = std::string(activation) != "gelu";
  return chain;
}

NamedChain xavier(double gain) {
  NamedChain chain = mlp("tanh");
  chain.name = fmt::format("mlp tanh xavier {}", gain);
  chain.options.set("init", "xavier").set("gain", gain);
  chain.forgets = false;
  return chain;
}

NamedChain resnet(const char* scale, const char* activation) {
  NamedChain chain;
  chain.name = fmt::format("resnet {} {}", scale, activation);
  chain.options.model = "resnet";
  chain.options.set("residual-scale", scale).set("activation", activation);
  return chain;
}

NamedChain affine(double contraction) {
  NamedChain chain;
  chain.name = fmt::format("affine {}", contraction);
  chain.options.model = "affine";
  chain.options.set("contraction", contraction);
  return chain;
}

}  // namespace

const std::vector<NamedChain>& all_chains() {
  static const std::vector<NamedChain> chains{mlp("tanh"),
                                              mlp("relu"),
                                              mlp("gelu"),
                                              xavier(0.9),
                                              xavier(1),
                                              resnet("1/L", "tanh"),
                                              resnet("1/L", "relu"),
                                              resnet("1/sqrt(L)", "tanh"),
                                              resnet("1/sqrt(L)", "relu"),
                                              affine(0.5),
                                              affine(0.99),
                                              affine(1),
                                              affine(1.01)};
  return chains;
}

std::vector<NamedChain> chosen_chains(const std::vector<std::string>& names) {
  if (names.empty()) return all_chains();
  std::vector<std::string> known;
  for (const NamedChain& chain : all_chains()) known.push_back(chain.name);
  std::vector<NamedChain> chosen;
  for (const std::string& name : names) {
    check_known("chains", name, known);
    chosen.push_back(*std::find_if(all_chains().begin(), all_chains().end(),
                                   [&](const NamedChain& chain) { return chain.name == name; }));
  }
  return chosen;
}

}  // namespace deeppcr::bench
