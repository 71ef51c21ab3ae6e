#include "deeppcr/io/hdf5_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/log.hpp"
#include "io/hdf5_detail.hpp"

namespace deeppcr::io::hdf5 {

namespace {

/// Says on this rank why the system will not open `path`; nothing is kept open.
void try_open(const std::string& path, int flags, const char* purpose) {
  std::error_code ignored;  // open() says more
  if (std::filesystem::is_directory(path, ignored))
    throw local_input_error("cannot {} '{}': it is a directory", purpose, path);
  const int descriptor = ::open(path.c_str(), flags, 0666);
  if (descriptor < 0)
    throw local_input_error("cannot {} '{}': {}", purpose, path, std::strerror(errno));
  ::close(descriptor);
}

/// How often metadata of a file that is being written are read until their checksum is right.
/// HDF5's own 100, with ever longer pauses, would be a hang on a damaged file.
constexpr unsigned kReadAttempts = 8;

/// More attributes than any of our objects has.
constexpr unsigned kMaxAttributes = 64;

/// Access properties: the 1.10 format, whose metadata carry checksums and which allows a live
/// reader. A file of one rank may be locked while it is open, as HDF5 does.
Id access_properties(const parallel::Communicator* comm, bool locked) {
  Id properties(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate");
  check(H5Pset_libver_bounds(properties.get(), H5F_LIBVER_V110, H5F_LIBVER_V110),
        "H5Pset_libver_bounds");
  check(H5Pset_fclose_degree(properties.get(), H5F_CLOSE_STRONG), "H5Pset_fclose_degree");
  if (comm != nullptr) {
    check(H5Pset_fapl_mpio(properties.get(), comm->get(), MPI_INFO_NULL), "H5Pset_fapl_mpio");
    check(H5Pset_coll_metadata_write(properties.get(), true), "H5Pset_coll_metadata_write");
  } else {
    check(H5Pset_metadata_read_attempts(properties.get(), kReadAttempts),
          "H5Pset_metadata_read_attempts");
#if H5_VERSION_GE(1, 10, 7)
    check(H5Pset_file_locking(properties.get(), locked, true), "H5Pset_file_locking");
#endif
  }
  return properties;
}

/// Attributes stay in the object's header, where they can be changed while others read.
void keep_attributes_in_header(const Id& properties) {
  check(H5Pset_attr_phase_change(properties.get(), kMaxAttributes, kMaxAttributes - 1),
        "H5Pset_attr_phase_change");
}

/// HDF5's open(name, access properties); a file system without locks (some NFS, Lustre) is used as
/// it is. No file, and HDF5's text in `reason`, where it cannot be opened for this `purpose`.
template <typename Open>
Id open_locked(const std::string& path, const parallel::Communicator* comm, bool locked,
               const char* purpose, const Open& open, std::string& reason) {
  const std::string name = comm == nullptr ? path : short_path(path);
  const Id access = access_properties(comm, locked);  // closing it would clear the reason
  hid_t file = open(name.c_str(), access.get());
  if (file < 0) reason = take_error_text();
  const auto says = [&](int code) {
    return file < 0 && reason.find(std::strerror(code)) != std::string::npos;
  };
  if (says(EAGAIN)) {
    throw local_input_error(
        "cannot {} '{}': another program has it open and holds its lock; end that, or set "
        "HDF5_USE_FILE_LOCKING=FALSE where locks are left behind",
        purpose, path);
  }
  if (comm == nullptr && (says(ENOLCK) || says(EOPNOTSUPP) || says(ENOSYS))) {
    static bool said = false;
    if (!std::exchange(said, true)) {
      log::warn(
          "'{}': its file system has no locks ({}), so files are used without; programs that read "
          "them need HDF5_USE_FILE_LOCKING=FALSE in their environment",
          path, reason);
    }
    const Id without = access_properties(comm, false);
    file = open(name.c_str(), without.get());
  }
  return file < 0 ? Id() : Id(file, H5Fclose, "H5Fopen");
}

Id create_file(const std::string& path, const parallel::Communicator* comm) {
  const Id creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "H5Pcreate");
  keep_attributes_in_header(creation);
  std::string reason;
  Id file = open_locked(
      path, comm, true, "write",
      [&](const char* name, hid_t access) {
        return H5Fcreate(name, H5F_ACC_TRUNC, creation.get(), access);
      },
      reason);
  if (file.get() < 0) throw internal_error("cannot create '{}': {}", path, reason);
  return file;
}

Id open_file(const std::string& path, File::Access mode, const parallel::Communicator* comm) {
  const unsigned flags = mode == File::Access::read ? H5F_ACC_RDONLY : H5F_ACC_RDWR;
  std::string reason;
  Id file = open_locked(
      path, comm, mode != File::Access::finish, "open",
      [&](const char* name, hid_t access) { return H5Fopen(name, flags, access); }, reason);
  if (file.get() >= 0) return file;
  if (reason.find("truncated file") != std::string::npos)
    throw local_input_error("'{}' is truncated or was never finished ({})", path, reason);
  // A file that a run is writing, or was when it was killed, opens for readers that expect that.
  const bool marked = reason.find("already open for") != std::string::npos;
  hid_t live = H5I_INVALID_HID;
  if (comm == nullptr && mode == File::Access::read && marked) {
    const Id access = access_properties(nullptr, true);
    live = H5Fopen(path.c_str(), H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, access.get());
  }
  if (live >= 0) return {live, H5Fclose, "H5Fopen"};
  clear_errors();
  throw local_input_error("cannot open '{}' as HDF5: it is damaged or in use ({})", path, reason);
}

/// From here on what HDF5 writes to this file goes to memory and is forgotten; what is on the disk
/// stays as it is.
void write_to_nowhere(hid_t file) {
  void* handle = nullptr;
  const int memory = ::memfd_create("deeppcr-abandoned", 0);
  if (memory >= 0 && H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) >= 0) {
    ::dup2(memory, *static_cast<int*>(handle));
  }
  if (memory >= 0) ::close(memory);
  clear_errors();
}

}  // namespace

Id::Id(hid_t id, Close close, const std::string& what) : id_(id), close_(close) {
  if (id < 0) fail(what);
}

herr_t Id::reset() {
  const hid_t id = std::exchange(id_, -1);
  return id < 0 ? 0 : close_(id);
}

File File::create(const std::string& path, const parallel::Communicator* comm) {
  silence_hdf5();
  File file(path, comm);
  file.together([&] {
    if (file.is_first()) try_open(path, O_RDWR | O_CREAT, "write");
  });
  file.together([&] { file.file_ = create_file(path, comm); });
  if (comm == nullptr) return file;
  try {
    file.together([&] {
      if (comm->is_root()) reserve(path, kMetadataBytes);
    });
  } catch (const Error&) {
    file.abandon();
    throw;
  }
  return file;
}

File File::open(const std::string& path, Access access, const parallel::Communicator* comm) {
  silence_hdf5();
  File file(path, comm);
  // One rank looks first, so that a bad file is met before any collective call.
  file.together([&] {
    if (!file.is_first()) return;
    try_open(path, access == Access::read ? O_RDONLY : O_RDWR, "read");
    if (H5Fis_hdf5(path.c_str()) <= 0) throw local_input_error("'{}' is not an HDF5 file", path);
    if (comm != nullptr) open_file(path, Access::read, nullptr);
  });
  file.together([&] { file.file_ = open_file(path, access, comm); });
  return file;
}

File::File(std::string path, const parallel::Communicator* comm)
    : path_(std::move(path)), comm_(comm), exceptions_(std::uncaught_exceptions()) {}

File::~File() {
  // While an exception unwinds, the other ranks may be elsewhere: closing together could wait for
  // ever.
  const bool unwinding = std::uncaught_exceptions() > exceptions_;
  if (comm_ != nullptr && comm_->size() > 1) {
    if (unwinding) file_.release();
  } else if (file_.get() >= 0 && H5Fflush(id(), H5F_SCOPE_GLOBAL) < 0) {
    abandon();
  }
  close_quietly();
}

void File::close_quietly() noexcept {
  if (file_.reset() < 0) clear_errors();
}

void File::abandon() noexcept {
  clear_errors();
  // HDF5 breaks down at the end of the program over a file that it could not close, so it is helped
  // to close.
  if (comm_ == nullptr) {
    write_to_nowhere(id());
    close_quietly();
    return;
  }
  if (comm_->is_root() && ::truncate(path_.c_str(), 0) != 0) clear_errors();  // gives its room back
  if (comm_->any(H5Fflush(id(), H5F_SCOPE_GLOBAL) < 0)) file_.release();
  close_quietly();
}

void File::together(const std::function<void()>& body) const {
  if (comm_ != nullptr) {
    parallel::agree(*comm_, body);
  } else {
    body();
  }
}

void File::close() {
  flush();
  together([&] { check(file_.reset(), fmt::format("close '{}'", path_)); });
}

void File::flush() {
  together([&] { check(H5Fflush(id(), H5F_SCOPE_GLOBAL), fmt::format("write '{}'", path_)); });
}

void File::start_single_writer() {
  check(H5Fstart_swmr_write(id()), fmt::format("open '{}' for live readers", path_));
}

void File::create_group(const std::string& name) {
  together([&] {
    Id links(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "H5Pcreate");
    check(H5Pset_create_intermediate_group(links.get(), 1), "H5Pset_create_intermediate_group");
    const Id creation(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, "H5Pcreate");
    keep_attributes_in_header(creation);
    Id group(H5Gcreate2(id(), name.c_str(), links.get(), creation.get(), H5P_DEFAULT), H5Gclose,
             fmt::format("create group {} in '{}'", name, path_));
  });
}

bool File::has(const std::string& name) const {
  const bool found = H5Oexists_by_name(id(), name.c_str(), H5P_DEFAULT) > 0;
  clear_errors();
  return found;
}

bool File::is_dataset(const std::string& name) const {
  if (!has(name)) return false;
  const Id object(H5Oopen(id(), name.c_str(), H5P_DEFAULT), H5Oclose, name);
  return H5Iget_type(object.get()) == H5I_DATASET;
}

std::vector<std::string> File::children(const std::string& group) const {
  std::vector<std::string> names;
  if (H5Literate_by_name(id(), group.c_str(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr,
                         add_name<H5L_info_t>, &names, H5P_DEFAULT) >= 0) {
    return names;
  }
  clear_errors();
  throw local_input_error("{} in '{}' is no group, but one is needed", group, path_);
}

void File::link_external(const std::string& name, const std::string& file,
                         const std::string& object) {
  together([&] {
    if (!linked_file(name).empty()) {
      check(H5Ldelete(id(), name.c_str(), H5P_DEFAULT),
            fmt::format("remove link {} of '{}'", name, path_));
    }
    check(H5Lcreate_external(file.c_str(), object.c_str(), id(), name.c_str(), H5P_DEFAULT,
                             H5P_DEFAULT),
          fmt::format("create link {} in '{}'", name, path_));
  });
}

std::string File::linked_file(const std::string& name) const {
  H5L_info_t info{};
  if (H5Lget_info(id(), name.c_str(), &info, H5P_DEFAULT) < 0 || info.type != H5L_TYPE_EXTERNAL) {
    clear_errors();
    return "";
  }
  std::vector<char> value(info.u.val_size);
  check(H5Lget_val(id(), name.c_str(), value.data(), value.size(), H5P_DEFAULT), "H5Lget_val");
  const char* file = nullptr;
  const char* object = nullptr;
  unsigned flags = 0;
  check(H5Lunpack_elink_val(value.data(), value.size(), &flags, &file, &object),
        "H5Lunpack_elink_val");
  return file;
}

void forget_writer(const std::string& path) {
  silence_hdf5();
  const Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate");
  // As HDF5's own h5clear does.
  const hbool_t forget = true;
  check(H5Pset(access.get(), "clear_status_flags", &forget), "H5Pset");
  const Id file(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), H5Fclose, "open '" + path + "'");
}

}  // namespace deeppcr::io::hdf5
