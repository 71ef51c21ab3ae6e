#pragma once

#include "deeppcr/app/command.hpp"

namespace deeppcr::app {

/// Forward pass of a chain.
int run_solve(const boost::program_options::variables_map& options, const Context& context);

/// Loss and gradients: forward pass, then one transposed solve.
int run_gradient(const boost::program_options::variables_map& options, const Context& context);

/// Training of a classifier, and the score of one.
int run_train(const boost::program_options::variables_map& options, const Context& context);
void add_evaluate_options(boost::program_options::options_description& options);
int run_evaluate(const boost::program_options::variables_map& options, const Context& context);

/// Self-check of a model's derivatives.
void add_check_options(boost::program_options::options_description& options);
int run_check(const boost::program_options::variables_map& options, const Context& context);

/// What a file holds, and whether it is intact.
void add_inspect_options(boost::program_options::options_description& options);
int run_inspect(const boost::program_options::variables_map& options, const Context& context);

}  // namespace deeppcr::app
