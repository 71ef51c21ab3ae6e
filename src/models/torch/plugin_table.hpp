#pragma once

#include <cstdint>

/// What the program asks of the plug-in that runs modules of PyTorch: plain C, no type of PyTorch,
/// so that another runtime can take its place. All numbers are double, whatever the module's are.
extern "C" {

struct DeepPcrModule;    ///< a file that was opened
struct DeepPcrSteps;     ///< its step with the weights of some steps
struct DeepPcrTape;      ///< steps that were evaluated, for their gradients
struct DeepPcrDenoiser;  ///< a file of a denoising network that was opened

/// Sizes of a tensor of one sample; none: not known.
struct DeepPcrShape {
  const std::int64_t* sizes;
  std::int32_t count;
};

struct DeepPcrModuleFacts {
  std::int64_t steps;        ///< L, as the file says; 0: any number
  std::int64_t width;        ///< numbers n in a state, or in what an end makes
  std::int64_t input_width;  ///< numbers d in the input of a step, 0: none; or in what an end takes
  std::int32_t single;       ///< 1: computed in float32, 0: float64
  std::int32_t groups;       ///< of parameters
  std::int32_t own_steps;    ///< 1: something is stored for each step, so there are L at most
  DeepPcrShape shape;        ///< of a state, or of what an end makes; as long as the module
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

/// What the caller knows of a denoising network. A file without deeppcr.json needs it.
struct DeepPcrDenoiserGiven {
  DeepPcrShape shape;            ///< of a state
  DeepPcrShape embedding_shape;  ///< of an embedding, where there are any
  std::int64_t classes;          ///< that its third argument tells apart; 0: not given
};

/// What a denoising network takes beside a state and its time.
enum DeepPcrCondition { kDeepPcrNothing = 0, kDeepPcrClass = 1, kDeepPcrEmbedding = 2 };

struct DeepPcrDenoiserFacts {
  DeepPcrShape shape, embedding_shape;  ///< as long as the denoiser
  std::int64_t classes;
  std::int64_t null_class;  ///< of no condition; -1: it has none
  std::int32_t condition;   ///< DeepPcrCondition
  std::int32_t single;      ///< 1: computed in float32, 0: float64
};

/// Rows of a batch for a denoising network.
struct DeepPcrRows {
  std::int64_t count;              ///< R
  const std::int64_t* times;       ///< [R]
  const std::int64_t* conditions;  ///< [R], classes or rows of `embeddings`; null: it takes none
  const double* embeddings;        ///< [C, d]
  std::int64_t embedding_count;    ///< C
};

/// Null where all went well; else what is wrong, valid until this thread's next call.
typedef const char* DeepPcrFault;

struct DeepPcrTorchTable {
  std::int32_t version;  ///< kDeepPcrTorchVersion

  /// Loads a file, which runs its code. precision: 0 as stored, 32, 64. end: 1 for what stands
  /// before or behind a chain, which counts as one step from d numbers to n. taken: what an end
  /// takes, where its file does not say.
  DeepPcrFault (*open)(const char* file, std::int32_t precision, std::int32_t end,
                       DeepPcrShape taken, DeepPcrModule** module);
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

  /// evaluate() chained, with what gradients need of each step kept until release_tape(). `in` and
  /// the weights must stay as they are so long.
  DeepPcrFault (*record)(DeepPcrSteps* steps, const DeepPcrRange* range, const double* in,
                         const double* inputs, double* out, DeepPcrTape** tape);
  void (*release_tape)(DeepPcrTape* tape);
  /// gradient() of one recorded step, counted from the first; `rows` are those of that step. Null
  /// rows, or by_state, are left out.
  DeepPcrFault (*back)(const DeepPcrTape* tape, std::int64_t step, const double* g,
                       double* const* rows, double* by_state);

  /// Writes the file anew under another name, with these weights of its first `rows` steps, which
  /// are all that the new one has. weights: as of bind().
  DeepPcrFault (*save)(DeepPcrModule* module, double* const* weights, std::int64_t rows,
                       const char* file);

  /// Loads a denoising network, which runs its code. precision: as of open().
  DeepPcrFault (*open_denoiser)(const char* file, std::int32_t precision,
                                const DeepPcrDenoiserGiven* given, DeepPcrDenoiser** denoiser);
  void (*close_denoiser)(DeepPcrDenoiser* denoiser);
  void (*denoiser_facts)(const DeepPcrDenoiser* denoiser, DeepPcrDenoiserFacts* facts);
  /// out[r] = prediction for x[r], each row with its time and condition. Shapes: x, out [R, n].
  DeepPcrFault (*predict)(DeepPcrDenoiser* denoiser, const DeepPcrRows* rows, const double* x,
                          double* out);
  /// W = (d out / d x) V, or transposed, at the states x. Shapes: x [R, n]; V, W [R, k, n].
  DeepPcrFault (*predict_product)(DeepPcrDenoiser* denoiser, const DeepPcrRows* rows,
                                  const double* x, std::int32_t transposed, std::int64_t k,
                                  const double* V, double* W);
};

constexpr std::int32_t kDeepPcrTorchVersion = 3;
/// The only symbol that the plug-in shows, of type DeepPcrTorchEntry.
constexpr const char* kDeepPcrTorchSymbol = "deeppcr_torch_table";
typedef const DeepPcrTorchTable* (*DeepPcrTorchEntry)();
}
