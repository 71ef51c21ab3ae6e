// The file of a chain: layout in apps/MODULE_FILE.md.
#include "models/torch/plugin_module.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "models/torch/plugin_file.hpp"

namespace deeppcr::torch_plugin {

namespace {

std::vector<std::string> names_of(const nlohmann::json& json, const char* key) {
  std::vector<std::string> names;
  const nlohmann::json list = json.value(key, nlohmann::json::array());
  for (const nlohmann::json& name : list) {
    if (!list.is_array() || !name.is_string())
      refuse(std::string("its ") + kDescription + " has " + key + " " + list.dump() +
             "; a list of names is needed");
    names.push_back(name.get<std::string>());
  }
  return names;
}

/// The objects and slot that a path such as "block.fc.weight" names. @throws where there is none
void find_slot(const torch::jit::Module& step, const std::string& path, Weight& weight) {
  torch::jit::Module at = step;
  std::string rest = path;
  for (std::size_t dot = rest.find('.'); dot != std::string::npos; dot = rest.find('.')) {
    const std::string name = rest.substr(0, dot);
    rest = rest.substr(dot + 1);
    if (!at.hasattr(name) || !at.attr(name).isModule())
      refuse("its step has no part '" + name + "' of '" + path + "', which its " + kDescription +
             " names among the stacks");
    at = at.attr(name).toModule();
  }
  const auto slot = at.type()->findAttributeSlot(rest);
  if (!slot || !at._ivalue()->getSlot(*slot).isTensor())
    refuse("its step has no parameter '" + path + "', which its " + kDescription +
           " names among the stacks");
  weight.name = path;
  weight.owner = at._ivalue();
  weight.slot = *slot;
}

}  // namespace

std::int64_t Weight::row_size() const { return numbers_in(shape()); }

std::vector<std::int64_t> Weight::shape() const {
  const std::vector<std::int64_t> all = stored.sizes().vec();
  return {all.begin() + (shared ? 0 : 1), all.end()};
}

bool Module::own_weights() const {
  return !constants_.empty() || std::any_of(weights_.begin(), weights_.end(),
                                            [](const Weight& weight) { return !weight.shared; });
}

Module::Module(const std::string& file, int precision, bool end,
               const std::vector<std::int64_t>& taken)
    : end_(end) {
  std::tie(whole_, description_) = load_file(file);
  if (end && description_.empty() && !taken.empty()) {
    input_shape_ = taken;
    input_width_ = numbers_in(taken);
  } else {
    read_description(description_);
  }
  step_ = whole_.hasattr("step") && whole_.attr("step").isModule() ? whole_.attr("step").toModule()
                                                                   : whole_;
  find_second();
  type_ = convert(whole_, precision);
  if (shape_.empty()) find_shape();
  find_weights();
}

void Module::read_description(const std::string& text) {
  const std::string advice =
      "; save it with _extra_files={'deeppcr.json': '{\"format\": 1, \"shape\": [16], \"shared\": "
      "true}'}, or by deeppcr-export-pytorch";
  const nlohmann::json json = parse_description(text, advice);
  shape_ = sizes_of(json, "shape");
  if (shape_.empty())
    refuse(std::string("its ") + kDescription + " has no shape, that of one sample's state" +
           advice);
  width_ = numbers_in(shape_);
  input_shape_ = sizes_of(json, "input_shape");
  if (!input_shape_.empty()) input_width_ = numbers_in(input_shape_);
  const nlohmann::json steps = json.value("steps", nlohmann::json(0));
  if (!steps.is_number_integer() || steps.get<std::int64_t>() < 0)
    refuse(std::string("its ") + kDescription + " has steps " + steps.dump() +
           "; a whole number is needed");
  steps_ = steps.get<std::int64_t>();
  const nlohmann::json second = json.value("second", nlohmann::json(""));
  if (second != "" && second != "step" && second != "input")
    refuse(std::string("its ") + kDescription + " has second " + second.dump() +
           "; what forward takes beside the state is \"step\" or \"input\"");
  second_word_ = second.get<std::string>();
  stacks_ = names_of(json, "stacks");
  buffers_ = names_of(json, "buffers");
  if (json.value("shared", nlohmann::json(stacks_.empty())) != stacks_.empty())
    refuse(std::string("its ") + kDescription + " has shared " + json["shared"].dump() + " with " +
           std::to_string(stacks_.size()) +
           " stacks; steps that share their weights have none, others one for each parameter");
  if (json.value("denoiser", nlohmann::json(false)) == true)
    refuse(std::string("it is a denoising network, not ") +
           (end_ ? "an end of a network" : "the steps of a chain"));
  check_kind(json.value("end", nlohmann::json(false)) == true);
}

void Module::check_kind(bool is_end) const {
  if (is_end && !end_) refuse("it is an end of a network, not the steps of a chain");
  if (!is_end && end_)
    refuse(
        "it is the steps of a chain, not an end of a network; write that by "
        "deeppcr-export-pytorch --end");
  if (end_ && input_shape_.empty())
    refuse(std::string("its ") + kDescription +
           " has no input_shape, which an end needs beside the shape of its outputs");
  if (end_ && !stacks_.empty())
    refuse(std::string("its ") + kDescription + " has stacks, which an end has none of");
}

void Module::find_second() {
  const auto method = step_.find_method("forward");
  if (!method) refuse("its step has no forward(z)");
  const auto& arguments = method->function().getSchema().arguments();
  std::size_t needed = 0;
  for (const auto& argument : arguments) needed += argument.default_value() ? 0 : 1;
  if (end_ && needed != 2)
    refuse("its forward takes " + std::to_string(needed - 1) +
           " arguments; that of an end is forward(x)");
  if (needed < 2 || needed > 3)
    refuse("the forward of its step takes " + std::to_string(needed - 1) +
           " arguments; forward(z), forward(z, l) or forward(z, x) is needed");
  if (needed == 2) {
    if (input_width_ > 0 && !end_)
      refuse(std::string("its ") + kDescription +
             " has an input_shape, but the forward of its step takes the state alone");
    return;
  }
  const std::string name = arguments[2].name();
  const bool step = second_word_ == "step" || (second_word_.empty() && name == "l");
  second_ = step ? Second::step : Second::input;
  if (!step && input_width_ == 0)
    refuse("the forward of its step takes '" + name + "' beside the state, but its " +
           kDescription +
           " does not say what that is; add \"second\": \"step\" for the number of the step, or "
           "\"input_shape\": [d] for an input at each step");
}

void Module::find_shape() {
  constexpr std::int64_t kSamples = 2;
  const c10::InferenceMode inference;
  const at::Tensor x = at::zeros(batch_of(kSamples, input_shape_), type_);
  const std::optional<at::Tensor> y = tensor_of(step_.forward({x}));
  if (!y || y->dim() < 2 || y->size(0) != kSamples || y->numel() == 0)
    refuse("it makes " + (y ? text_of(y->sizes()) : std::string("no tensor")) + " of " +
           text_of(x.sizes()) + " numbers; a tensor with as many samples is needed");
  shape_ = y->sizes().vec();
  shape_.erase(shape_.begin());
  width_ = numbers_in(shape_);
}

Weight Module::stacked_weight(std::size_t index) {
  const std::string name = "stack" + std::to_string(index), &path = stacks_[index];
  Weight weight;
  weight.shared = false;
  if (!whole_.hasattr(name) || !whole_.attr(name).isTensor())
    refuse("it has no buffer " + name + " [L, ..], the stack of '" + path + "'");
  weight.stored = whole_.attr(name).toTensor();
  find_slot(step_, path, weight);
  const auto one = weight.owner->getSlot(weight.slot).toTensor().sizes();
  if (weight.stored.dim() < 1 || weight.shape() != one.vec())
    refuse("its buffer " + name + " has sizes " + text_of(weight.stored.sizes()) + ", but '" +
           path + "' is " + text_of(one) + ", which makes L x " + text_of(one));
  if (steps_ == 0 && index == 0) steps_ = weight.stored.size(0);
  if (weight.stored.numel() == 0)
    refuse("its buffer " + name + " has sizes " + text_of(weight.stored.sizes()) +
           ", without a number; leave such a stack out");
  if (weight.stored.size(0) != steps_)
    refuse("its buffer " + name + " has " + std::to_string(weight.stored.size(0)) +
           " rows, but the chain has " + std::to_string(steps_) + " steps");
  return weight;
}

void Module::find_weights() {
  const auto among = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (std::size_t i = 0; i < stacks_.size(); ++i) {
    const Weight weight = stacked_weight(i);
    const bool constant = among(buffers_, weight.name) || !weight.stored.is_floating_point();
    (constant ? constants_ : weights_).push_back(weight);
  }
  for (const auto& parameter : step_.named_parameters()) {
    if (among(stacks_, parameter.name) || !parameter.value.is_floating_point() ||
        parameter.value.numel() == 0)
      continue;
    Weight weight;
    find_slot(step_, parameter.name, weight);
    weight.stored = parameter.value;
    weights_.push_back(weight);
  }
}

at::Tensor Module::forward(const at::Tensor& z, const at::Tensor& second) const {
  const std::vector<std::int64_t> shape = batch_of(z.size(0), shape_);
  const std::vector<std::int64_t> input_shape = batch_of(z.size(0), input_shape_);
  std::vector<c10::IValue> arguments{z.view(end_ ? input_shape : shape)};
  if (second_ == Second::step) arguments.emplace_back(second);
  if (second_ == Second::input) arguments.emplace_back(second.view(input_shape));
  torch::jit::Module step = step_;  // a handle: forward() is not const
  const c10::IValue result = step.forward(std::move(arguments));
  const std::optional<at::Tensor> made = tensor_of(result);
  if (!made)
    refuse("its step gives a " + result.tagKind() + "; a tensor, the next state, is needed");
  const at::Tensor& y = *made;
  if (y.sizes() != at::IntArrayRef(shape) && end_)
    refuse("it makes outputs of " + text_of(y.sizes()) + ", but its " + kDescription + " says " +
           text_of(shape) + " (the first number is that of samples)");
  if (y.sizes() != at::IntArrayRef(shape))
    refuse("its step makes states of " + text_of(y.sizes()) + " of states of " + text_of(shape) +
           " (the first number is that of samples); the shape must stay");
  if (y.scalar_type() != type_)
    refuse(std::string("its step makes ") + at::toString(y.scalar_type()) + " of " +
           at::toString(type_) + "; the type must stay");
  return y.reshape({z.size(0), width_});
}

void Module::replace(const Weight& weight, const at::Tensor& values, bool trained) {
  at::Tensor one = values;
  if (!weight.shared) {
    const auto index = std::find(stacks_.begin(), stacks_.end(), weight.name) - stacks_.begin();
    whole_.setattr("stack" + std::to_string(index), values);
    one = values.select(0, 0).clone();  // step(z) is the first step
  }
  weight.owner->setSlot(weight.slot, one.requires_grad_(trained));
}

void Module::save(double* const* weights, std::int64_t rows, const std::string& file) {
  for (std::size_t g = 0; g < weights_.size(); ++g) {
    std::vector<std::int64_t> sizes = weights_[g].shape();
    if (!weights_[g].shared) sizes.insert(sizes.begin(), rows);
    const at::Tensor values = at::from_blob(weights[g], sizes, at::kDouble);
    replace(weights_[g], values.to(type_, /*non_blocking=*/false, /*copy=*/true), true);
  }
  for (const Weight& constant : constants_)
    replace(constant, constant.stored.narrow(0, 0, rows).clone(), false);
  nlohmann::json json = nlohmann::json::parse(description_);
  if (!end_) json["steps"] = rows;
  json["written_by"] = "deeppcr";  // io::recognise() knows it by this
  whole_.save(file, {{kDescription, json.dump()}});
}

}  // namespace deeppcr::torch_plugin
