// SPDX-License-Identifier: MIT
//
// hipDeviceProp_t and hipDeviceAttribute_t, by their numbers in HIP's ABI.
#include <algorithm>
#include <climits>
#include <cstring>
#include <string_view>

#include "runtime/device.hpp"

namespace virtual_rocm {

namespace {

struct IntegerField {
  int offset;
  int value;
};
struct SizeField {
  int offset;
  std::uint64_t value;
};
struct AttributeValue {
  int attribute;
  int value;
};

int clamp_to_int(std::uint64_t value) { return static_cast<int>(std::min<std::uint64_t>(value, INT_MAX)); }

}  // namespace

std::array<std::byte, 1472> device_properties(int device) {
  check_device(device);
  const DeviceFacts& facts = device_facts();
  std::array<std::byte, 1472> bytes{};
  const auto put_text = [&](int offset, std::string_view text, std::size_t room) {
    std::memcpy(bytes.data() + offset, text.data(), std::min(text.size(), room - 1));
  };
  put_text(0, facts.name, 256);
  put_text(256, concat("GPU-virtual-", device), 16);  // uuid
  put_text(1160, facts.architecture, 256);            // gcnArchName
  const std::uint64_t lds = static_cast<std::uint64_t>(facts.lds_per_block);
  for (const auto& [offset, value] : {
           SizeField{288, facts.memory_bytes},  // totalGlobalMem
           SizeField{296, lds},                 // sharedMemPerBlock
           SizeField{312, INT_MAX},             // memPitch
           SizeField{352, INT_MAX},             // totalConstMem
           SizeField{368, 256},                 // textureAlignment
           SizeField{376, 256},                 // texturePitchAlignment
           SizeField{568, 256},                 // surfaceAlignment
           SizeField{640, lds},                 // sharedMemPerMultiprocessor
           SizeField{696, lds},                 // sharedMemPerBlockOptin
           SizeField{1416, lds},                // maxSharedMemoryPerMultiProcessor
       })
    std::memcpy(bytes.data() + offset, &value, sizeof value);
  for (const auto& [offset, value] : {
           IntegerField{304, facts.registers_per_block},  // regsPerBlock
           IntegerField{308, facts.warp_size},            // warpSize
           IntegerField{320, facts.threads_per_block},    // maxThreadsPerBlock
           IntegerField{324, facts.threads_per_block},    // maxThreadsDim
           IntegerField{328, facts.threads_per_block}, IntegerField{332, facts.threads_per_block},
           IntegerField{336, INT_MAX},  // maxGridSize
           IntegerField{340, 65536}, IntegerField{344, 65536},
           IntegerField{348, facts.clock_kilohertz},             // clockRate
           IntegerField{360, facts.compute_major},               // major
           IntegerField{364, facts.compute_minor},               // minor
           IntegerField{384, 1},                                 // deviceOverlap
           IntegerField{388, facts.multiprocessors},             // multiProcessorCount
           IntegerField{400, 1},                                 // canMapHostMemory
           IntegerField{576, 1},                                 // concurrentKernels
           IntegerField{580, 1},                                 // ECCEnabled
           IntegerField{584, 0x10 + device},                     // pciBusID, as pci_bus_id() says
           IntegerField{600, 1},                                 // asyncEngineCount
           IntegerField{604, 1},                                 // unifiedAddressing
           IntegerField{608, facts.memory_clock_kilohertz},      // memoryClockRate
           IntegerField{612, facts.memory_bus_bits},             // memoryBusWidth
           IntegerField{616, facts.l2_bytes},                    // l2CacheSize
           IntegerField{624, facts.threads_per_multiprocessor},  // maxThreadsPerMultiProcessor
           IntegerField{648, facts.registers_per_block},         // regsPerMultiprocessor
           IntegerField{684, 1},                                 // canUseHostPointerForRegisteredMem
           IntegerField{688, 1},                                 // cooperativeLaunch
           IntegerField{712, 32},                                // maxBlocksPerMultiProcessor
           IntegerField{728, 1},                                 // hostRegisterSupported
           IntegerField{1424, facts.wall_clock_kilohertz},       // clockInstructionRate
           // arch: every feature bit but surfaces and dynamic parallelism
           IntegerField{1428, 0x0000bfff & ~(1 << 14)}, IntegerField{1464, 1},  // isLargeBar
       })
    std::memcpy(bytes.data() + offset, &value, sizeof value);
  return bytes;
}

int device_attribute(int attribute, int device) {
  check_device(device);
  const DeviceFacts& facts = device_facts();
  const int memory = clamp_to_int(facts.memory_bytes);
  for (const auto& [number, value] : {
           AttributeValue{0, 1},  // EccEnabled
           AttributeValue{2, 1},  // AsyncEngineCount
           AttributeValue{3, 1},  // CanMapHostMemory
           AttributeValue{4, 1},  // CanUseHostPointerForRegisteredMem
           AttributeValue{5, facts.clock_kilohertz},
           AttributeValue{8, 1},   // ConcurrentKernels
           AttributeValue{10, 1},  // CooperativeLaunch
           AttributeValue{12, 1},  // DeviceOverlap
           AttributeValue{19, facts.l2_bytes},
           AttributeValue{23, facts.compute_major},
           AttributeValue{25, 32},                       // MaxBlocksPerMultiProcessor
           AttributeValue{26, facts.threads_per_block},  // MaxBlockDimX, Y, Z
           AttributeValue{27, facts.threads_per_block},
           AttributeValue{28, facts.threads_per_block},
           AttributeValue{29, INT_MAX},  // MaxGridDimX, Y, Z
           AttributeValue{30, 65536},
           AttributeValue{31, 65536},
           AttributeValue{55, facts.threads_per_block},  // MaxThreadsDim
           AttributeValue{56, facts.threads_per_block},
           AttributeValue{57, facts.threads_per_multiprocessor},
           AttributeValue{58, INT_MAX},  // MaxPitch
           AttributeValue{59, facts.memory_bus_bits},
           AttributeValue{60, facts.memory_clock_kilohertz},
           AttributeValue{61, facts.compute_minor},
           AttributeValue{63, facts.multiprocessors},
           AttributeValue{67, 0x10 + device},  // PciBusId
           AttributeValue{71, facts.registers_per_block},
           AttributeValue{72, facts.registers_per_block},
           AttributeValue{74, facts.lds_per_block},
           AttributeValue{75, facts.lds_per_block},
           AttributeValue{76, facts.lds_per_block},
           AttributeValue{78, 256},      // SurfaceAlignment
           AttributeValue{81, 256},      // TextureAlignment
           AttributeValue{82, 256},      // TexturePitchAlignment
           AttributeValue{83, INT_MAX},  // TotalConstantMemory
           AttributeValue{84, memory},
           AttributeValue{85, 1},  // UnifiedAddressing
           AttributeValue{87, facts.warp_size},
           AttributeValue{89, 1},                              // VirtualMemoryManagementSupported
           AttributeValue{90, 1},                              // HostRegisterSupported
           AttributeValue{10000, facts.wall_clock_kilohertz},  // ClockInstructionRate
           AttributeValue{10002, facts.lds_per_block},
           AttributeValue{10011, 1},                      // IsLargeBar
           AttributeValue{10015, facts.multiprocessors},  // PhysicalMultiProcessorCount
           AttributeValue{10016, 1},                      // FineGrainSupport
           AttributeValue{10017, facts.wall_clock_kilohertz},
           AttributeValue{10018, 8},    // NumberOfXccs
           AttributeValue{10019, 512},  // MaxAvailableVgprsPerThread
       })
    if (number == attribute) return value;
  // The others that HIP defines are features that this device does not have.
  if ((attribute >= 0 && attribute <= 91) || (attribute >= 10000 && attribute <= 10020)) return 0;
  throw fail(ErrorCode::invalid_value, "attribute ", attribute, " is not one of HIP's");
}

}  // namespace virtual_rocm
