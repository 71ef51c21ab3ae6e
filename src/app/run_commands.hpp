#pragma once

#include "deeppcr/cli/command.hpp"

namespace deeppcr::app {

/// Forward pass of a chain.
int run_solve(const OptionValues& options, const cli::Context& context);

/// Loss and gradients: forward pass, then one transposed solve.
int run_gradient(const OptionValues& options, const cli::Context& context);

/// Training of a classifier, and the score of one.
int run_train(const OptionValues& options, const cli::Context& context);
void add_evaluate_options(cli::Options& options);
int run_evaluate(const OptionValues& options, const cli::Context& context);

/// Predictions for samples that come one at a time.
void add_stream_options(cli::Options& options);
int run_stream(const OptionValues& options, const cli::Context& context);

/// Self-check of a model's derivatives.
void add_check_options(cli::Options& options);
int run_check(const OptionValues& options, const cli::Context& context);

/// What a file holds, and whether it is intact.
void add_inspect_options(cli::Options& options);
int run_inspect(const OptionValues& options, const cli::Context& context);

}  // namespace deeppcr::app
