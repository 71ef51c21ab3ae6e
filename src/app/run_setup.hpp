#pragma once

#include "app/chain.hpp"
#include "app/config.hpp"
#include "deeppcr/app/command.hpp"

namespace deeppcr::app {

/// What `solve` and `gradient` begin with: options to a checked configuration, its sizes and files
/// tried before anything large is made, then the chain. Collective.
struct Setup {
  RunConfig config;
  Chain chain;
};
Setup set_up(const boost::program_options::variables_map& options, linear::Passes passes,
             const Context& context);

/// Whether weights files hold such a model, where --save-weights names one.
/// @throws Error for a model whose parameters are no layers
void check_save_weights(const models::ModelOptions& model, const std::string& file);

}  // namespace deeppcr::app
