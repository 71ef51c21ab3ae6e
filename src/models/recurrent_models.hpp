#pragma once

#include "deeppcr/models/catalogue.hpp"

namespace deeppcr::models {

/// Elman's cell, h' = sigma(W_ih x + b_ih + W_hh h + b_hh).
CatalogueEntry rnn_entry();
/// Gated recurrent unit, the reset behind the recurrent product or in front of it.
CatalogueEntry gru_entry();
/// Long short-term memory.
CatalogueEntry lstm_entry();
/// ParaRNN's cells, whose recurrent weights are diagonal.
CatalogueEntry para_gru_entry();
CatalogueEntry para_lstm_entry();

}  // namespace deeppcr::models
