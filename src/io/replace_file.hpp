#pragma once

#include <functional>
#include <string>

#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::io {

/// "x.h5" -> "x.h5.1": what the file before is called that is kept.
std::string older_name(const std::string& path);
/// Gives the file `path`, if there is one, its older name as a second one, until a new one is
/// renamed to `path`. @throws Error (this rank)
void keep_older(const std::string& path);
/// Renames a file that cannot be used to path + ".damaged", and says so; never fails.
void set_damaged_aside(const std::string& path);

/// What becomes of the file that had the name before.
enum class Older { replaced, kept };

/// Writes a file on a communicator by `body`, flushes it to the disk, and only then gives it its
/// name, once `check` has nothing against the finished file under its temporary name. What had that
/// name before stays until then. Of a symbolic link the file is replaced that it leads to.
/// Collective. @throws Error (on all ranks); nothing new is left then
void replace_file(const parallel::Communicator& comm, const std::string& name,
                  const std::function<void(hdf5::File&)>& body,
                  const std::function<void(const std::string&)>& check = {},
                  Older older = Older::replaced);

/// The same for a file of this rank alone, which `body` writes, or begins to write, under the
/// temporary name that it gets. @throws Error (this rank)
void begin_file(const std::string& name, const std::function<void(const std::string&)>& body);

}  // namespace deeppcr::io
