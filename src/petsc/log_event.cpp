#include "deeppcr/petsc/log_event.hpp"

#include <map>

#include "deeppcr/petsc/check.hpp"

namespace deeppcr::petsc {

namespace {

PetscLogEvent registered(const std::string& name) {
  static PetscClassId id = 0;
  static std::map<std::string, PetscLogEvent> events;
  const auto [event, is_new] = events.try_emplace(name, 0);
  if (id == 0) DEEPPCR_PETSC(PetscClassIdRegister("deeppcr", &id));
  if (is_new) DEEPPCR_PETSC(PetscLogEventRegister(name.c_str(), id, &event->second));
  return event->second;
}

}  // namespace

LogEvent::LogEvent(const std::string& name) : event_(registered(name)) {
  PetscLogEventBegin(event_, nullptr, nullptr, nullptr, nullptr);
}

LogEvent::~LogEvent() { PetscLogEventEnd(event_, nullptr, nullptr, nullptr, nullptr); }

}  // namespace deeppcr::petsc
