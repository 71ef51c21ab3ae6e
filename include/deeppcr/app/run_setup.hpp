#pragma once

#include "deeppcr/app/chain.hpp"
#include "deeppcr/app/command.hpp"
#include "deeppcr/app/config.hpp"

namespace deeppcr::app {

/// What `solve` and `gradient` begin with: options to a checked configuration, its sizes and files
/// tried before anything large is made, then the chain. Collective.
struct Setup {
  RunConfig config;
  Chain chain;
};
Setup set_up(const boost::program_options::variables_map& options, linear::Passes passes,
             const Context& context);

/// Tries whether the folder of `file` takes a new file, so that hours of work do not end at a
/// missing folder. Collective.
void check_writable(const parallel::Communicator& comm, const std::string& option,
                    const std::string& file);

/// The same for --save-weights, and whether weights files hold such a model. Collective.
/// @throws Error for a model whose parameters are no layers
void check_save_weights(const parallel::Communicator& comm, const models::ModelOptions& model,
                        const std::string& file);

}  // namespace deeppcr::app
