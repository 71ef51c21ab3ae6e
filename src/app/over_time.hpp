#pragma once

#include "app/config.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/io/signals.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/sequence/parameters.hpp"

// What a chain over time is given: sequences of inputs and the first state.

namespace deeppcr::app {

/// io::read_signals() with what it means for a run: one warning of attributes that nobody reads,
/// and an Error where no model takes so many numbers at a step. Collective.
io::Signals read_sequences(const parallel::Communicator& comm, const std::string& path,
                           const io::SignalOptions& options);

/// Reads --input for a model whose steps take inputs, and puts into the configuration what it says:
/// samples, steps, features. Collective. @throws Error for what contradicts it
void adopt_signals(const parallel::Communicator& comm, ChainConfig& config);

/// Steps of each of the run's samples; empty: all have all.
std::vector<Index> lengths_of(const ChainConfig& config);
/// Labels as a loss takes them, [B] or [steps, B]; empty where there are none.
std::vector<int> labels_of(const ChainConfig& config);
/// All rows of the signals, which must outlive it.
sequence::Inputs inputs_of(const io::Signals& signals);
/// What states should be, as inputs_of(); empty where there is none.
sequence::Inputs targets_of(const io::Signals& signals);

/// z_0 [B, width] from /state of --state. Collective.
/// @throws Error (on all ranks) for another shape and for what is no number
void read_first_state(const parallel::Communicator& comm, const ChainConfig& config, State z0);

}  // namespace deeppcr::app
