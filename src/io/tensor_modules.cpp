#include "io/tensor_modules.hpp"

#include <cctype>
#include <charconv>
#include <set>

#include "deeppcr/core/error.hpp"

namespace deeppcr::io {

namespace {

/// Digits that surely fit into an Index.
constexpr std::size_t kMostDigits = 18;

/// Reads the digits from `at` on, if they are one to so many, and steps behind them.
std::optional<Index> number_at(const std::string& text, std::size_t& at) {
  const std::size_t end = std::min(text.find_first_not_of("0123456789", at), text.size());
  if (end == at || end - at > kMostDigits) return std::nullopt;
  Index number = 0;
  std::from_chars(text.data() + at, text.data() + end, number);
  at = end;
  return number;
}

void read_numbers(Module& module) {
  for (std::size_t at = 0; at < module.name.size();) {
    if (const auto number = number_at(module.name, at)) {
      module.numbers.push_back(*number);
      module.pattern += '#';
    } else {
      module.pattern += module.name[at++];
    }
  }
}

/// "weight_ih_l1" and "weight_ih_l1_reverse" are weight_ih and weight_ih_reverse of layer 1.
std::optional<Index> take_layer(std::string& part) {
  const std::size_t mark = part.rfind("_l");
  if (mark == std::string::npos) return std::nullopt;
  std::size_t at = mark + 2;
  const auto layer = number_at(part, at);
  if (layer) part.erase(mark, at - mark);
  return layer;
}

std::string own_name(std::string name, const std::string& path) {
  const std::string stored = name;
  std::replace(name.begin(), name.end(), '/', '.');
  if (name.front() == '.') name.erase(0, 1);
  if (!name.empty() && name.front() != '.' && name.back() != '.' &&
      name.find("..") == std::string::npos)
    return name;
  throw local_input_error("the tensor '{}' in '{}' has an empty word in its name", stored, path);
}

/// The numbers of one place in the names go up evenly: by 1, or by 2 with a tanh between layers.
void require_even(const std::set<Index>& numbers, bool from_start, const Module& module,
                  const std::string& path) {
  if (numbers.size() < 2) return;
  const Index gap = *std::next(numbers.begin()) - *numbers.begin();
  for (auto before = numbers.begin(), after = std::next(before); after != numbers.end();
       ++before, ++after) {
    if (*after - *before == gap) continue;
    throw local_input_error(
        "of the layers '{}' in '{}' some are missing: their numbers go from {} to {}, elsewhere in "
        "steps of {}",
        module.pattern, path, *before, *after, gap);
  }
  if (from_start && *numbers.begin() > gap) {
    throw local_input_error("the layers '{}' in '{}' start with {}: those before it are missing",
                            module.pattern, path, *numbers.begin());
  }
}

/// The places in the names whose numbers differ, with these numbers.
std::map<std::size_t, std::set<Index>> varying_numbers(const std::vector<Module>& modules,
                                                       bool from_start, const std::string& path) {
  std::map<std::size_t, std::set<Index>> axes;
  for (std::size_t k = 0; k < modules.front().numbers.size(); ++k) {
    std::set<Index> numbers;
    for (const Module& module : modules) numbers.insert(module.numbers[k]);
    if (numbers.size() == 1) continue;
    require_even(numbers, from_start, modules.front(), path);
    axes.emplace(k, std::move(numbers));
  }
  return axes;
}

/// No two modules have the same numbers. @throws Error unless there is one for each of a table of
/// blocks and layers
void require_full_table(const std::map<std::size_t, std::set<Index>>& axes,
                        const std::vector<Module>& modules, const std::string& path) {
  if (axes.size() > 2)
    throw local_input_error(
        "the layers '{}' in '{}' differ by more than two numbers; a chain has blocks and layers",
        modules.front().pattern, path);
  std::size_t entries = 1;
  for (const auto& [k, numbers] : axes) entries *= numbers.size();
  if (modules.size() != entries)
    throw local_input_error(
        "of the layers '{}' in '{}' some are missing: their numbers make no full table",
        modules.front().pattern, path);
}

}  // namespace

bool is_cell(const Module& module) {
  return std::any_of(module.parts.begin(), module.parts.end(), [](const auto& part) {
    return part.first.rfind("weight_ih", 0) == 0 || part.first.rfind("weight_hh", 0) == 0;
  });
}

TensorNames::TensorNames(const std::string& path, const std::vector<Tensor>& tensors)
    : path_(path), tensors_(tensors) {
  std::map<std::pair<std::string, Index>, Module> modules;
  for (const Tensor& tensor : tensors) {
    names_.push_back(own_name(tensor.name, path));
    const std::string& name = names_.back();
    const std::size_t dot = name.rfind('.');
    std::string part = dot == std::string::npos ? name : name.substr(dot + 1);
    const std::optional<Index> layer = take_layer(part);
    const std::string owner = dot == std::string::npos ? "" : name.substr(0, dot);
    Module& module = modules[{owner, layer.value_or(-1)}];
    if (module.parts.empty()) {
      module.name = owner;
      read_numbers(module);
      if (layer) module.numbers.push_back(*layer);
      if (layer) module.pattern += "_l#";
    }
    if (module.parts.emplace(part, names_.size() - 1).second) continue;
    throw local_input_error("'{}' has the tensor '{}' twice", path, name);
  }
  for (auto& [key, module] : modules) modules_.push_back(std::move(module));
}

std::vector<std::vector<Index>> places_of(std::vector<Module>& modules, bool from_start,
                                          const TensorNames& all, const std::string& remedy) {
  for (const Module& module : modules) {
    if (module.pattern == modules.front().pattern) continue;
    throw local_input_error(
        "the order of '{}' and '{}' in '{}' cannot be told: tensors have none there but by the "
        "numbers in their names; {}",
        modules.front().name, module.name, all.path(), remedy);
  }
  std::sort(modules.begin(), modules.end(),
            [](const Module& one, const Module& other) { return one.numbers < other.numbers; });
  const std::map<std::size_t, std::set<Index>> axes =
      varying_numbers(modules, from_start, all.path());
  std::vector<std::vector<Index>> places;
  std::set<std::vector<Index>> taken;
  for (const Module& module : modules) {
    std::vector<Index> place;
    for (const auto& [k, numbers] : axes)
      place.push_back(std::distance(numbers.begin(), numbers.find(module.numbers[k])));
    if (place.empty()) place.push_back(0);
    if (!taken.insert(place).second)
      throw local_input_error("two layers '{}' in '{}' have the same number", module.pattern,
                              all.path());
    places.push_back(std::move(place));
  }
  require_full_table(axes, modules, all.path());
  return places;
}

}  // namespace deeppcr::io
