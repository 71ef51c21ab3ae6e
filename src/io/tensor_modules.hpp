#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "deeppcr/io/safetensors.hpp"

namespace deeppcr::io {

/// A module of a network: its tensors by the last word of their names ("fc.weight" is weight of
/// fc). Of nn.GRU and the like each layer is one: "rnn.weight_ih_l1" is weight_ih of "rnn", 1.
struct Module {
  std::string name;
  std::string pattern;         ///< with # in place of numbers
  std::vector<Index> numbers;  ///< that stood there; of a layer of cells its own comes last
  std::map<std::string, std::size_t> parts;  ///< places in the list of tensors
};

/// Whether it has weight_ih or weight_hh.
bool is_cell(const Module& module);

/// The tensors of a file and their modules. Names have '.' between, whatever the file has.
class TensorNames {
 public:
  /// @throws Error (this rank) for a name with an empty word, or one that is there twice
  TensorNames(const std::string& path, const std::vector<Tensor>& tensors);

  const std::string& path() const { return path_; }
  std::size_t size() const { return names_.size(); }
  const std::string& name(std::size_t i) const { return names_[i]; }
  const hdf5::Shape& sizes(std::size_t i) const { return tensors_[i].numbers.shape; }
  /// By name.
  const std::vector<Module>& modules() const { return modules_; }

 private:
  const std::string& path_;
  const std::vector<Tensor>& tensors_;
  std::vector<std::string> names_;
  std::vector<Module> modules_;
};

/// Sorts modules by the numbers in their names and counts them from 0: one number each, or, where
/// two of the names' numbers vary, block and layer of the block.
/// `from_start`: numbers must begin near 0. `remedy`: what to do where patterns differ.
/// @throws Error (this rank) where patterns differ, a number is missing or there twice
std::vector<std::vector<Index>> places_of(std::vector<Module>& modules, bool from_start,
                                          const TensorNames& all, const std::string& remedy);

}  // namespace deeppcr::io
