#pragma once

#include <petsclog.h>

#include <string>

namespace deeppcr::petsc {

/// A stretch of work that PETSc's -log_view shows by its name, such as "linear.pcr": from the
/// object's construction to its end.
class LogEvent {
 public:
  explicit LogEvent(const std::string& name);
  ~LogEvent();
  LogEvent(const LogEvent&) = delete;
  LogEvent& operator=(const LogEvent&) = delete;

 private:
  PetscLogEvent event_;
};

}  // namespace deeppcr::petsc
