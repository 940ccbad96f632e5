// SPDX-License-Identifier: MIT
#include "isa/print_special.hpp"

#include <cstdio>

namespace virtual_rocm::isa {
namespace {

std::string hex(std::uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%x", value);
  return text;
}

std::string counters_text(std::uint32_t immediate) {
  const unsigned vector_memory = (immediate & 15) | (immediate >> 14 & 3) << 4;
  const unsigned exports = immediate >> 4 & 7;
  const unsigned scalar_and_lds = immediate >> 8 & 15;
  const bool nothing = vector_memory == 63 && exports == 7 && scalar_and_lds == 15;
  std::string out;
  const auto counter = [&out](const char* name, unsigned value) {
    if (!out.empty()) out += ' ';
    out += std::string(name) + "(" + std::to_string(value) + ")";
  };
  if (nothing || vector_memory != 63) counter("vmcnt", vector_memory);
  if (nothing || exports != 7) counter("expcnt", exports);
  if (nothing || scalar_and_lds != 15) counter("lgkmcnt", scalar_and_lds);
  return out;
}

std::string message_text(std::uint32_t immediate) {
  constexpr const char* kMessages[] = {"",
                                       "INTERRUPT",
                                       "GS",
                                       "GS_DONE",
                                       "SAVEWAVE",
                                       "STALL_WAVE_GEN",
                                       "HALT_WAVES",
                                       "ORDERED_PS_DONE",
                                       "EARLY_PRIM_DEALLOC",
                                       "GS_ALLOC_REQ",
                                       "GET_DOORBELL"};
  constexpr const char* kGeometry[] = {"GS_OP_NOP", "GS_OP_CUT", "GS_OP_EMIT", "GS_OP_EMIT_CUT"};
  const unsigned message = immediate & 15;
  const unsigned operation = immediate >> 4 & 7;
  const unsigned stream = immediate >> 8 & 3;
  const bool geometry = message == 2 || message == 3;
  if (geometry && operation < 4 && (operation != 0 ? true : message == 3 && stream == 0)) {
    const std::string start = std::string("sendmsg(MSG_") + kMessages[message] + ", " + kGeometry[operation];
    return operation == 0 ? start + ")" : start + ", " + std::to_string(stream) + ")";
  }
  if (!geometry && message != 0 && message < 11 && operation == 0 && stream == 0) {
    return std::string("sendmsg(MSG_") + kMessages[message] + ")";
  }
  return "sendmsg(" + std::to_string(message) + ", " + std::to_string(operation) + ", " +
         std::to_string(stream) + ")";
}

}  // namespace

std::string gpr_index_text(std::uint32_t mask) {
  if (mask > 15) return hex(mask);
  constexpr const char* kOperands[] = {"SRC0", "SRC1", "SRC2", "DST"};
  std::string out;
  for (unsigned index = 0; index < 4; ++index) {
    if (!(mask >> index & 1)) continue;
    if (!out.empty()) out += ',';
    out += kOperands[index];
  }
  return "gpr_idx(" + out + ")";
}

std::string hardware_register_text(std::uint32_t immediate) {
  const unsigned number = immediate & 63;
  const unsigned offset = immediate >> 6 & 31;
  const unsigned width = (immediate >> 11) + 1;
  constexpr const char* kLow[] = {nullptr, "MODE",      "STATUS",    "TRAPSTS",
                                  "HW_ID", "GPR_ALLOC", "LDS_ALLOC", "IB_STS"};
  constexpr const char* kHigh[] = {"SH_MEM_BASES",
                                   "TBA_LO",
                                   "TBA_HI",
                                   "TMA_LO",
                                   "TMA_HI",
                                   "XCC_ID",
                                   "SQ_PERF_SNAPSHOT_DATA",
                                   "SQ_PERF_SNAPSHOT_DATA1",
                                   "SQ_PERF_SNAPSHOT_PC_LO",
                                   "SQ_PERF_SNAPSHOT_PC_HI"};
  const char* known = nullptr;
  if (number < 8) known = kLow[number];
  if (number >= 15 && number < 25) known = kHigh[number - 15];
  std::string out =
      known != nullptr ? std::string("hwreg(HW_REG_") + known : "hwreg(" + std::to_string(number);
  if (offset != 0 || width != 32) out += ", " + std::to_string(offset) + ", " + std::to_string(width);
  return out + ")";
}

std::string program_control_text(Opcode opcode, std::uint32_t immediate) {
  switch (opcode) {
    case Opcode::s_waitcnt:
      return counters_text(immediate);
    case Opcode::s_sendmsg:
    case Opcode::s_sendmsghalt:
      return message_text(immediate);
    case Opcode::s_set_gpr_idx_mode:
      return gpr_index_text(immediate);
    case Opcode::s_endpgm:
      return immediate == 0 ? "" : std::to_string(immediate);
    case Opcode::s_barrier:
    case Opcode::s_icache_inv:
    case Opcode::s_ttracedata:
    case Opcode::s_wakeup:
    case Opcode::s_endpgm_saved:
    case Opcode::s_set_gpr_idx_off:
    case Opcode::s_endpgm_ordered_ps_done:
      return "";
    case Opcode::s_branch:
    case Opcode::s_cbranch_scc0:
    case Opcode::s_cbranch_scc1:
    case Opcode::s_cbranch_vccz:
    case Opcode::s_cbranch_vccnz:
    case Opcode::s_cbranch_execz:
    case Opcode::s_cbranch_execnz:
    case Opcode::s_cbranch_cdbgsys:
    case Opcode::s_cbranch_cdbguser:
    case Opcode::s_cbranch_cdbgsys_or_user:
    case Opcode::s_cbranch_cdbgsys_and_user:
      return std::to_string(immediate);
    default:
      return immediate <= 64 ? std::to_string(immediate) : hex(immediate);
  }
}

std::string dpp_text(Dpp word) {
  const unsigned control = word.control();
  const unsigned amount = control & 15;
  std::string out;
  if (control < 0x100) {
    out = "quad_perm:[" + std::to_string(control & 3) + "," + std::to_string(control >> 2 & 3) + "," +
          std::to_string(control >> 4 & 3) + "," + std::to_string(control >> 6) + "]";
  } else {
    switch (control >> 4) {
      case 0x10:
        out = "row_shl:" + std::to_string(amount);
        break;
      case 0x11:
        out = "row_shr:" + std::to_string(amount);
        break;
      case 0x12:
        out = "row_ror:" + std::to_string(amount);
        break;
      case 0x13:
        out = amount == 0   ? "wave_shl:1"
              : amount == 4 ? "wave_rol:1"
              : amount == 8 ? "wave_shr:1"
                            : "wave_ror:1";
        break;
      case 0x14:
        out = amount == 0   ? "row_mirror"
              : amount == 1 ? "row_half_mirror"
              : amount == 2 ? "row_bcast:15"
                            : "row_bcast:31";
        break;
      default:
        out = "row_newbcast:" + std::to_string(amount);
    }
  }
  out += " row_mask:" + hex(word.row_mask()) + " bank_mask:" + hex(word.bank_mask());
  return word.bound_control() ? out + " bound_ctrl:1" : out;
}

std::string swizzle_text(std::uint32_t offset) {
  if ((offset & 0xff00) == 0x8000) {
    return "swizzle(QUAD_PERM," + std::to_string(offset & 3) + "," + std::to_string(offset >> 2 & 3) + "," +
           std::to_string(offset >> 4 & 3) + "," + std::to_string(offset >> 6 & 3) + ")";
  }
  if ((offset & 0x8000) != 0) return std::to_string(offset);
  const unsigned and_mask = offset & 31;
  const unsigned or_mask = offset >> 5 & 31;
  const unsigned xor_mask = offset >> 10 & 31;
  if (and_mask == 31 && or_mask == 0 && xor_mask != 0 && (xor_mask & (xor_mask - 1)) == 0) {
    return "swizzle(SWAP," + std::to_string(xor_mask) + ")";
  }
  if (and_mask == 31 && or_mask == 0 && xor_mask > 1 && (xor_mask & (xor_mask + 1)) == 0) {
    return "swizzle(REVERSE," + std::to_string(xor_mask + 1) + ")";
  }
  const unsigned group = 32 - and_mask;
  if (group > 1 && (group & (group - 1)) == 0 && or_mask < group && xor_mask == 0) {
    return "swizzle(BROADCAST," + std::to_string(group) + "," + std::to_string(or_mask) + ")";
  }
  std::string out = "swizzle(BITMASK_PERM,\"";
  for (unsigned bit = 16; bit != 0; bit >>= 1) {
    const bool zero = ((0 & and_mask) | or_mask) & bit ? !(xor_mask & bit) : (xor_mask & bit) != 0;
    const bool one = ((bit & and_mask) | or_mask) & bit ? !(xor_mask & bit) : (xor_mask & bit) != 0;
    out += zero == one ? (zero ? '1' : '0') : (one ? 'p' : 'i');
  }
  return out + "\")";
}

const char* selection_text(unsigned selection) {
  constexpr const char* kNames[] = {"BYTE_0", "BYTE_1", "BYTE_2", "BYTE_3", "WORD_0", "WORD_1", "DWORD", "?"};
  return kNames[selection];
}

const char* unused_text(unsigned unused) {
  constexpr const char* kNames[] = {"UNUSED_PAD", "UNUSED_SEXT", "UNUSED_PRESERVE", "?"};
  return kNames[unused];
}

bool has_sdwa_source_only(Opcode opcode) {
  return opcode == Opcode::v_cvt_f32_fp8 || opcode == Opcode::v_cvt_f32_bf8 ||
         opcode == Opcode::v_cvt_pk_f32_fp8 || opcode == Opcode::v_cvt_pk_f32_bf8;
}

}  // namespace virtual_rocm::isa
