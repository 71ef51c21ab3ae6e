#pragma once

#include "deeppcr/blocks/activation.hpp"

namespace deeppcr::blocks {

/// The elementwise part of some rows of a recurrent cell, (step, sample) pairs: from what the
/// products gave for its G gates and from its state the next one, and the K coefficients that its
/// derivative is made of. The same bits for a row whatever others there are.
///
/// A state is h [n], of LSTMs with c [n] behind it; `stride` reals from that of a row to the next.
struct GateRows {
  int n;
  Index count;
  const Real* u;       ///< [count, G n], from the inputs; or the sum of all products
  const Real* v;       ///< [count, G n], from the state, where it is not in u
  const Real* before;  ///< states
  Real* after;
  Index stride;
  Real* slopes;  ///< [count, K n]
};

// s() is the sigmoid, sigma the cell's own activation, * by elements. `t_x` is the tangent of the
// pre-activation of gate x.

/// h' = sigma(u). Slopes: sigma'.
void rnn_gates(Activation sigma, const GateRows& rows);

/// r = s(u_r + v_r), z = s(u_z + v_z), n = sigma(u_n + r * v_n), h' = (1 - z) * n + z * h. Slopes:
/// z, then the factors of t_r, t_z, of t_n from the inputs and of t_n from the state.
/// Source: Cho et al., arXiv 1406.1078, with the reset behind the product as in cuDNN and PyTorch
void gru_gates(Activation sigma, const GateRows& rows);

/// The same with the reset in front of the product, first r = s(u_r + v_r), z = s(u_z + v_z), v
/// [count, 2 n], and reset_state = r * h [count, n]. Slopes: z, r, and of r * h the factor of t_r.
void gru_reset(const GateRows& rows, Real* reset_state);
/// then n = sigma(u_n + v), v [count, n], and h' = (1 - z) * n + z * h. Slopes, behind those: the
/// factors of t_z and t_n.
void gru_candidate(Activation sigma, const GateRows& rows);

/// i, f, o = s(u_i, u_f, u_o), g = tanh(u_g), c' = f * c + i * g, h' = o * tanh(c'). Slopes: f, of
/// c' the factors of t_i, t_f, t_g; of h' that of the tangent of c' and that of t_o.
/// Source: Gers et al., Neural Computation 12, 2000, without peepholes
void lstm_gates(const GateRows& rows);

/// z = s(u_z + a_z * h), r = s(u_r + a_r * h), n = tanh(u_n + a_n * h * r), h' = (1 - z) * h + z *
/// n; a [3 n]: a_z, a_r, a_n. Slopes: the diagonal of the Jacobian, the factors of t_z, t_r, t_n,
/// and r. Source: ParaRNN, arXiv 2510.21450
void para_gru_gates(const Real* a, const GateRows& rows);

/// f = s(u_f + a_f * h + p_f * c), g = tanh(u_g + a_g * h), c' = f * c + (1 - f) * g, o = s(u_o +
/// a_o * h + p_o * c'), h' = o * tanh(c'); a [3 n]: a_f, a_g, a_o, then p_f, p_o. Slopes: f, of c'
/// the factors of t_f and t_g, of h' that of the tangent of c' and that of t_o, and c'.
/// Source: ParaRNN, arXiv 2510.21450
void para_lstm_gates(const Real* a, const GateRows& rows);

}  // namespace deeppcr::blocks
