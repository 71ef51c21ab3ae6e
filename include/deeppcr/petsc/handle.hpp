#pragma once

#include <petscsnes.h>

#include <utility>

namespace deeppcr::petsc {

namespace detail {
inline void destroy(Vec* x) { VecDestroy(x); }
inline void destroy(Mat* x) { MatDestroy(x); }
inline void destroy(PC* x) { PCDestroy(x); }
inline void destroy(KSP* x) { KSPDestroy(x); }
inline void destroy(SNES* x) { SNESDestroy(x); }
inline void destroy(IS* x) { ISDestroy(x); }
}  // namespace detail

/// Sole owner of one PETSc object. Everything else is PETSc's own API on get().
template <typename T>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T object) : object_(object) {}
  Handle(Handle&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (object_) detail::destroy(&object_);
  }

  T get() const { return object_; }
  /// For PETSc's creating calls: VecCreate(comm, x.put()). Destroys what was held.
  T* put() {
    if (object_) detail::destroy(&object_);
    object_ = nullptr;
    return &object_;
  }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T object_ = nullptr;
};

}  // namespace deeppcr::petsc
