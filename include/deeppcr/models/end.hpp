#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "deeppcr/core/view.hpp"
#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::models {

/// The two ends of a network: an embedding brings the features of a sample, such as the pixels of
/// an image, to the width of the chain; a head makes logits of its last state. As numbers they tell
/// apart the random streams of layers with the same seed.
enum class LayerRole : std::uint64_t { embedding = 0x454d424544, head = 0x48454144 };
/// "embedding" or "head"
std::string to_string(LayerRole role);

/// What stands before or behind the chain of a network, from a sample's numbers to others, with
/// parameters of its own.
class End {
 public:
  virtual ~End() = default;

  virtual int inputs() const = 0;
  virtual int outputs() const = 0;
  /// All numbers that are trained. They stay where they are.
  virtual View<Real, 1> parameters() = 0;
  /// The same by their names in files, one behind the other: "head", or "head/fc.weight", ..
  virtual std::vector<sequence::ParameterGroup> groups() = 0;

  /// Shapes: x [B, inputs], y [B, outputs].
  virtual void forward(ConstState x, State y) const = 0;
  /// From g [B, outputs] = d loss / d y: parameter_gradient [parameters().size()], summed over
  /// samples, and input_gradient [B, inputs]; an empty view of either is left out.
  virtual void gradient(ConstState x, ConstState g, View<Real, 1> parameter_gradient,
                        State input_gradient) const = 0;

  /// Writes a file like the one that it is of, with these parameters. Default: it is of none.
  /// @throws Error (of this rank)
  virtual void save(const std::string& /*file*/) const {}
};

}  // namespace deeppcr::models
