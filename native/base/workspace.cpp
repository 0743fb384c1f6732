#include "base/workspace.h"

namespace adafuse {

std::shared_ptr<Workspaces> Workspaces::shared() {
  static std::mutex mutex;
  static std::weak_ptr<Workspaces> of_process;
  const std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<Workspaces> workspaces = of_process.lock();
  if (workspaces == nullptr) {
    workspaces = std::make_shared<Workspaces>();
    of_process = workspaces;
  }
  return workspaces;
}

}  // namespace adafuse
