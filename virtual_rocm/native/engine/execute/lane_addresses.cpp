// SPDX-License-Identifier: MIT
#include "engine/execute/lane_addresses.hpp"

namespace virtual_rocm::engine {

std::uint64_t Access::address_of(unsigned lane) const {
  if (!contiguous) return addresses[lane];
  return first + std::uint64_t{lane - static_cast<unsigned>(std::countr_zero(lanes))} * size;
}

bool tell_observers(const Operation* operation, Wave* wave, const Access& access) {
  for (Observer* observer : wave->worker->access_observers) {
    std::optional<Finding> finding = observer->on_access(access);
    if (!finding) continue;
    Fault fault;
    fault.kind = finding->kind;
    fault.message = std::move(finding->message);
    fault.check_name = observer->name();
    fault.site.lane = finding->lane;
    fault.address = finding->address;
    fault.size = access.size;
    fault.access = access.kind;
    fault.lanes = std::uint64_t{1} << finding->lane;
    raise(operation, wave, std::move(fault));
    return false;
  }
  return true;
}

bool check_access_slowly(const Operation* operation, Wave* wave, const LaneAddresses& addresses,
                         std::uint32_t size, AccessKind access) {
  Worker& worker = *wave->worker;
  if (worker.check_bounds) {
    std::uint64_t denied = 0;
    for_each_lane(addresses.lanes, [&](unsigned lane) {
      if (!allows(worker, addresses.of(lane, size), size, access)) denied |= std::uint64_t{1} << lane;
    });
    if (denied != 0) {
      const auto lane = static_cast<unsigned>(std::countr_zero(denied));
      const std::uint64_t address = addresses.of(lane, size);
      const bool readable = worker.reads.allows(address, size);
      raise_access(operation, wave, readable ? FaultKind::read_only : FaultKind::out_of_bounds, access, lane,
                   denied, address, size);
      return false;
    }
  }
  if (worker.access_observers.empty()) return true;

  Access description{};
  description.kind = access;
  description.space = Space::global;
  description.size = size;
  description.lanes = addresses.lanes;
  description.contiguous = addresses.contiguous;
  description.addresses = addresses.contiguous ? nullptr : addresses.address;
  description.first = addresses.of(addresses.first, size);
  description.wave = wave;
  return tell_observers(operation, wave, description);
}

}  // namespace virtual_rocm::engine
