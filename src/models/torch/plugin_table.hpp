#pragma once

#include <cstdint>

/// What the program asks of the plug-in that runs modules of PyTorch: plain C, no type of PyTorch,
/// so that another runtime can take its place. All numbers are double, whatever the module's are.
extern "C" {

struct DeepPcrModule;  ///< a file that was opened
struct DeepPcrSteps;   ///< its step with the weights of some steps

struct DeepPcrModuleFacts {
  std::int64_t steps;        ///< L, as the file says; 0: any number
  std::int64_t width;        ///< numbers n in a state, or in what an end makes
  std::int64_t input_width;  ///< numbers d in the input of a step, 0: none; or in what an end takes
  std::int32_t single;       ///< 1: computed in float32, 0: float64
  std::int32_t groups;       ///< of parameters
  std::int32_t own_steps;    ///< 1: something is stored for each step, so there are L at most
};

/// A parameter of the step: a row for each step, or one that all share.
struct DeepPcrGroupFacts {
  const char* name;
  std::int32_t shared;
  std::int64_t row_size;
};

/// Steps that follow each other, and the first one's row among the weights that are held.
struct DeepPcrRange {
  std::int64_t first_step, first_row, steps, samples;
};

/// Null where all went well; else what is wrong, valid until this thread's next call.
typedef const char* DeepPcrFault;

struct DeepPcrTorchTable {
  std::int32_t version;  ///< kDeepPcrTorchVersion

  /// Loads a file, which runs its code. precision: 0 as stored, 32, 64. end: 1 for what stands
  /// before or behind a chain, which counts as one step from d numbers to n.
  DeepPcrFault (*open)(const char* file, std::int32_t precision, std::int32_t end,
                       DeepPcrModule** module);
  void (*close)(DeepPcrModule* module);
  void (*facts)(const DeepPcrModule* module, DeepPcrModuleFacts* facts);
  void (*group)(const DeepPcrModule* module, std::int32_t group, DeepPcrGroupFacts* facts);
  /// The stored weights of a step, [row size]; of a shared group the step does not matter.
  DeepPcrFault (*read_row)(const DeepPcrModule* module, std::int32_t group, std::int64_t step,
                           double* row);

  /// Steps with these weights, one array [rows, row size] a group. They are borrowed, and read anew
  /// in every call. The module must outlive the steps.
  DeepPcrFault (*bind)(DeepPcrModule* module, double* const* weights, std::int64_t rows,
                       DeepPcrSteps** steps);
  void (*release)(DeepPcrSteps* steps);

  /// out[i] = f_{first + i}(in[i]), or with `chained` f_{first + i}(out[i-1]) from in [B, n].
  /// Shapes: in, out [m, B, n]; inputs [m, B, d], null without; of an end in is [1, B, d].
  DeepPcrFault (*evaluate)(DeepPcrSteps* steps, const DeepPcrRange* range, const double* in,
                           const double* inputs, std::int32_t chained, double* out);
  /// evaluate() chained, with a tangent [n] of one sample pushed along: A_last .. A_first tangent,
  /// by differences of values, whose other state is one more row of each batch.
  DeepPcrFault (*push_along)(DeepPcrSteps* steps, const DeepPcrRange* range, const double* in,
                             const double* inputs, std::int64_t sample, double* tangent,
                             double* out);
  /// W = A V, transposed A^T V, at the states `in`. Shapes: V, W [m, B, k, n].
  DeepPcrFault (*product)(DeepPcrSteps* steps, const DeepPcrRange* range, const double* in,
                          const double* inputs, std::int32_t transposed, std::int64_t k,
                          const double* V, double* W);
  /// (df / dtheta)^T g into the rows of each group, [m, row size] assigned, shared ones added to;
  /// A^T g into by_state [m, B, n] unless that is null.
  DeepPcrFault (*gradient)(DeepPcrSteps* steps, const DeepPcrRange* range, const double* in,
                           const double* inputs, const double* g, double* const* rows,
                           double* by_state);

  /// Writes the file anew under another name, with these weights of its first `rows` steps, which
  /// are all that the new one has. weights: as of bind().
  DeepPcrFault (*save)(DeepPcrModule* module, double* const* weights, std::int64_t rows,
                       const char* file);
};

constexpr std::int32_t kDeepPcrTorchVersion = 3;
/// The only symbol that the plug-in shows, of type DeepPcrTorchEntry.
constexpr const char* kDeepPcrTorchSymbol = "deeppcr_torch_table";
typedef const DeepPcrTorchTable* (*DeepPcrTorchEntry)();
}
