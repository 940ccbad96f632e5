// SPDX-License-Identifier: MIT
#include "engine/execute/lds_addresses.hpp"

namespace virtual_rocm::engine {

bool check_lds_slowly(const Operation* operation, Wave* wave, const LdsAddresses& addresses,
                      std::uint64_t lanes, std::uint32_t size, AccessKind access) {
  alignas(64) std::uint64_t full[kLanes];
  std::uint64_t denied = 0;
  for_each_lane(lanes, [&](unsigned lane) {
    full[lane] = addresses.of(lane);
    if (full[lane] + size > wave->lds_size) denied |= std::uint64_t{1} << lane;
  });
  if (denied != 0) {
    const auto lane = static_cast<unsigned>(std::countr_zero(denied));
    raise_access(operation, wave, FaultKind::lds_out_of_bounds, access, lane, denied, full[lane], size);
    return false;
  }
  Access description{};
  description.kind = access;
  description.space = Space::lds;
  description.size = size;
  description.lanes = lanes;
  description.addresses = full;
  description.first = full[addresses.first];
  description.wave = wave;
  for (Observer* observer : wave->worker->access_observers) {
    std::optional<Finding> finding = observer->on_access(description);
    if (!finding) continue;
    Fault fault;
    fault.kind = finding->kind;
    fault.message = std::move(finding->message);
    fault.check_name = observer->name();
    fault.site.lane = finding->lane;
    fault.address = finding->address;
    fault.size = size;
    fault.access = access;
    fault.lanes = std::uint64_t{1} << finding->lane;
    raise(operation, wave, std::move(fault));
    return false;
  }
  return true;
}

}  // namespace virtual_rocm::engine
