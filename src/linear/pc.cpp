#include "deeppcr/linear/pc.hpp"

#include <petsc/private/pcimpl.h>

#include <utility>

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/petsc/check.hpp"
#include "linear/matrix_chain.hpp"

namespace deeppcr::linear {

namespace {

constexpr const char* kType = "deeppcr";

/// What a PC of this type holds.
struct Data {
  std::string method = "hybrid";
  std::unique_ptr<MatrixChain> assembled;  ///< when the matrix is not a BlockBidiagonal's
  std::unique_ptr<LinearSolver> solver;    ///< uses the chain's communicator to its end
  const blocks::BlockBidiagonal* chain = nullptr;
};

Data& data_of(PC pc) { return *static_cast<Data*>(pc->data); }

PetscErrorCode set_up(PC pc) {
  return petsc::guard([&] {
    Data& data = data_of(pc);
    if (!data.solver || data.method != data.solver->name()) data.solver = find(data.method).make();
    std::unique_ptr<MatrixChain> before;  // until the solver has left it
    data.chain = blocks::BlockBidiagonal::from(pc->pmat);
    if (data.chain == nullptr) {
      before = std::exchange(data.assembled, std::make_unique<MatrixChain>(pc->pmat));
      data.chain = &data.assembled->chain();
    }
    data.solver->setup(*data.chain);
  });
}

PetscErrorCode solve(PC pc, Vec x, Vec y, Direction direction) {
  return petsc::guard([&] {
    Data& data = data_of(pc);
    const std::array<Index, 3> shape{data.chain->local_range().size(), data.chain->batch(),
                                     data.chain->width()};
    petsc::with_arrays(x, y, [&](const Real* in, Real* out) {
      data.solver->solve(direction, ConstStates(in, shape), States(out, shape));
    });
  });
}

PetscErrorCode apply(PC pc, Vec x, Vec y) { return solve(pc, x, y, Direction::forward); }

PetscErrorCode apply_transpose(PC pc, Vec x, Vec y) { return solve(pc, x, y, Direction::backward); }

PetscErrorCode set_from_options(PC pc, PetscOptionItems* PetscOptionsObject) {
  PetscFunctionBegin;
  PetscOptionsHeadBegin(PetscOptionsObject, "DeepPCR options");
  char method[64] = "";
  PetscBool set = PETSC_FALSE;
  PetscCall(PetscOptionsString("-pc_deeppcr_method", "a name from the catalogue of linear solvers",
                               "PCSetFromOptions", data_of(pc).method.c_str(), method,
                               sizeof method, &set));
  PetscOptionsHeadEnd();
  if (set) PetscCall(petsc::guard([&] { set_method(pc, method); }));
  PetscFunctionReturn(0);
}

PetscErrorCode view(PC pc, PetscViewer viewer) {
  return PetscViewerASCIIPrintf(viewer, "  method: %s\n", data_of(pc).method.c_str());
}

PetscErrorCode destroy(PC pc) {
  return petsc::guard([&] {
    delete static_cast<Data*>(pc->data);
    pc->data = nullptr;
  });
}

PetscErrorCode create(PC pc) {
  return petsc::guard([&] {
    pc->data = new Data;
    pc->ops->setup = set_up;
    pc->ops->apply = apply;
    pc->ops->applytranspose = apply_transpose;
    pc->ops->setfromoptions = set_from_options;
    pc->ops->view = view;
    pc->ops->destroy = destroy;
  });
}

}  // namespace

void register_pc() { DEEPPCR_PETSC(PCRegister(kType, create)); }

LinearSolver* solver_of(PC pc) {
  PetscBool ours = PETSC_FALSE;
  DEEPPCR_PETSC(PetscObjectTypeCompare(reinterpret_cast<PetscObject>(pc), kType, &ours));
  return ours ? data_of(pc).solver.get() : nullptr;
}

void set_method(PC pc, const std::string& method) { data_of(pc).method = find(method).name; }

}  // namespace deeppcr::linear
