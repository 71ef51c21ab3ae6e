#include "zoo.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "app/options.hpp"

namespace deeppcr::bench {
namespace {

Animal mlp(const char* activation) {
  Animal animal;
  animal.name = fmt::format("mlp {}", activation);
  animal.options.model = "mlp";
  animal.options.set("activation", activation);
  animal.forgets = std::string(activation) != "gelu";
  return animal;
}

Animal xavier(double gain) {
  Animal animal = mlp("tanh");
  animal.name = fmt::format("mlp tanh xavier {}", gain);
  animal.options.set("init", "xavier").set("gain", gain);
  animal.forgets = false;
  return animal;
}

Animal resnet(const char* scale, const char* activation) {
  Animal animal;
  animal.name = fmt::format("resnet {} {}", scale, activation);
  animal.options.model = "resnet";
  animal.options.set("residual-scale", scale).set("activation", activation);
  return animal;
}

Animal affine(double contraction) {
  Animal animal;
  animal.name = fmt::format("affine {}", contraction);
  animal.options.model = "affine";
  animal.options.set("contraction", contraction);
  return animal;
}

}  // namespace

const std::vector<Animal>& zoo() {
  static const std::vector<Animal> animals{mlp("tanh"),
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
  return animals;
}

std::vector<Animal> chosen_animals(const std::vector<std::string>& names) {
  if (names.empty()) return zoo();
  std::vector<std::string> known;
  for (const Animal& animal : zoo()) known.push_back(animal.name);
  std::vector<Animal> chosen;
  for (const std::string& name : names) {
    app::check_known("chains", name, known);
    chosen.push_back(*std::find_if(zoo().begin(), zoo().end(),
                                   [&](const Animal& animal) { return animal.name == name; }));
  }
  return chosen;
}

}  // namespace deeppcr::bench
