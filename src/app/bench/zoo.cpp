#include "zoo.hpp"

#include <fmt/format.h>

namespace deeppcr::app::bench {
namespace {

Animal mlp(const char* activation) {
  Animal animal;
  animal.name = fmt::format("mlp {}", activation);
  animal.options.model = "mlp";
  animal.options.activation = activation;
  animal.forgets = std::string(activation) != "gelu";
  return animal;
}

Animal xavier(double gain) {
  Animal animal = mlp("tanh");
  animal.name = fmt::format("mlp tanh, xavier, gain {}", gain);
  animal.options.init = "xavier";
  animal.options.gain = gain;
  animal.forgets = false;
  return animal;
}

Animal resnet(const char* scale, const char* activation) {
  Animal animal;
  animal.name = fmt::format("resnet {}, {}", scale, activation);
  animal.options.model = "resnet";
  animal.options.residual_scale = scale;
  animal.options.activation = activation;
  return animal;
}

Animal affine(double contraction) {
  Animal animal;
  animal.name = fmt::format("affine {}", contraction);
  animal.options.model = "affine";
  animal.options.contraction = contraction;
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

}  // namespace deeppcr::app::bench
