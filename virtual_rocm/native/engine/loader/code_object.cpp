// SPDX-License-Identifier: MIT
#include "engine/code_object.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "engine/loader/loaded_code.hpp"
#include "engine/loader/metadata.hpp"
#include "engine/loader/names.hpp"
#include "runtime/allocation_map.hpp"

namespace virtual_rocm::engine {
namespace {

constexpr std::uint16_t kMachineAmdgpu = 224;
constexpr std::uint8_t kAbiHsa = 64;
constexpr std::uint32_t kProcessorMask = 0xff;
constexpr std::uint32_t kProcessorGfx942 = 0x4c;
constexpr std::uint32_t kProcessorGfx950 = 0x4f;
constexpr std::uint32_t kMetadataNote = 32;
constexpr std::uint64_t kPage = 4096;

// R_AMDGPU_…
constexpr std::uint32_t kRelocationAbsolute64 = 3;
constexpr std::uint32_t kRelocationRelative64 = 13;

// The kernel descriptor's layout is fixed by the ABI.
struct Descriptor {
  std::uint32_t lds_size;
  std::uint32_t scratch_size;
  std::uint32_t kernarg_size;
  std::uint32_t reserved0;
  std::int64_t entry_offset;
  std::uint8_t reserved1[20];
  std::uint32_t resource3;
  std::uint32_t resource1;
  std::uint32_t resource2;
  std::uint16_t properties;
  std::uint16_t kernarg_preload;
  std::uint8_t reserved2[4];
};
static_assert(sizeof(Descriptor) == 64);

constexpr std::uint16_t kPropertyWave32 = 1 << 10;
constexpr std::uint16_t kPropertyDynamicStack = 1 << 11;

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

std::shared_ptr<const CodeObject> CodeObject::load(std::span<const std::byte> image, std::string label,
                                                   const SymbolResolver& resolver) {
  const auto code = std::make_shared<LoadedCode>(select_code_object(image), std::move(label), resolver);
  code->open_coverage();
  return code;
}

LoadedCode::LoadedCode(std::span<const std::byte> image, std::string label, const SymbolResolver& resolver)
    : image_(image.begin(), image.end()), label_(std::move(label)) {
  try {
    check_header();
    read_sections();
    map_segments();
    relocate(resolver);
    read_symbols();
    read_kernels();
    protect_segments();
    lower_code();
  } catch (const LoadError& error) {
    for (const std::uint64_t base : allocations_) process_allocations().remove(base);
    if (mapping_ != 0) munmap(reinterpret_cast<void*>(mapping_), mapping_size_);
    throw LoadError(label_ + ": " + error.what());
  }
}

LoadedCode::~LoadedCode() {
  for (const std::uint64_t base : allocations_) process_allocations().remove(base);
  if (mapping_ != 0) munmap(reinterpret_cast<void*>(mapping_), mapping_size_);
}

std::span<const std::byte> LoadedCode::bytes(std::uint64_t offset, std::uint64_t size) const {
  if (offset > image_.size() || size > image_.size() - offset) throw LoadError("the ELF image is cut short");
  return std::span(image_).subspan(offset, size);
}

template <typename Type>
Type LoadedCode::read(std::uint64_t offset) const {
  Type value;
  std::memcpy(&value, bytes(offset, sizeof value).data(), sizeof value);
  return value;
}

std::string LoadedCode::string_at(std::uint64_t table_offset, std::uint64_t table_size,
                                  std::uint32_t index) const {
  const auto table = bytes(table_offset, table_size);
  if (index >= table.size()) throw LoadError("a name lies outside its string table");
  const auto* begin = reinterpret_cast<const char*>(table.data()) + index;
  return std::string(begin, strnlen(begin, table.size() - index));
}

void LoadedCode::check_header() {
  header_ = read<Elf64_Ehdr>(0);
  if (std::memcmp(header_.e_ident, ELFMAG, SELFMAG) != 0 || header_.e_ident[EI_CLASS] != ELFCLASS64 ||
      header_.e_machine != kMachineAmdgpu || header_.e_ident[EI_OSABI] != kAbiHsa)
    throw LoadError("not an AMDGPU code object for HSA");
  // EI_ABIVERSION 1 to 4 are code objects v3 to v6.
  if (header_.e_ident[EI_ABIVERSION] < 1 || header_.e_ident[EI_ABIVERSION] > 4)
    throw LoadError("code object version " + std::to_string(header_.e_ident[EI_ABIVERSION] + 2) +
                    " is not known; use -mcode-object-version=5");
  architecture_ = device_architecture();
  const std::uint32_t wanted =
      architecture_ == isa::Architecture::gfx950 ? kProcessorGfx950 : kProcessorGfx942;
  if ((header_.e_flags & kProcessorMask) != wanted) {
    const std::string name = isa::to_string(architecture_);
    throw LoadError("the code is not for " + name + " (ELF flags " + std::to_string(header_.e_flags) +
                    "); compile with --offload-arch=" + name + ", or set VIRTUAL_ROCM_ARCHITECTURE");
  }
  if (header_.e_type != ET_DYN) throw LoadError("the code object is not linked; link it with lld");
}

void LoadedCode::read_sections() {
  for (unsigned index = 0; index < header_.e_phnum; ++index)
    segments_.push_back(read<Elf64_Phdr>(header_.e_phoff + std::uint64_t{index} * header_.e_phentsize));
  for (unsigned index = 0; index < header_.e_shnum; ++index)
    sections_.push_back(read<Elf64_Shdr>(header_.e_shoff + std::uint64_t{index} * header_.e_shentsize));
  if (header_.e_shstrndx < sections_.size()) {
    const Elf64_Shdr& names = sections_[header_.e_shstrndx];
    for (const Elf64_Shdr& entry : sections_)
      section_names_.push_back(string_at(names.sh_offset, names.sh_size, entry.sh_name));
  }
}

const Elf64_Shdr* LoadedCode::section(std::string_view name) const {
  for (std::size_t index = 0; index < section_names_.size(); ++index)
    if (section_names_[index] == name) return &sections_[index];
  return nullptr;
}

void LoadedCode::map_segments() {
  std::uint64_t end = 0;
  for (const Elf64_Phdr& segment : segments_)
    if (segment.p_type == PT_LOAD) end = std::max<std::uint64_t>(end, segment.p_vaddr + segment.p_memsz);
  if (end == 0) throw LoadError("the code object has nothing to load");

  // One inaccessible page before and behind, so that a wild access with checks off still stops at the edge.
  mapping_size_ = round_up(end, kPage) + 2 * kPage;
  void* address = mmap(nullptr, mapping_size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) throw LoadError("no memory for the code object's segments");
  mapping_ = reinterpret_cast<std::uint64_t>(address);
  base_ = mapping_ + kPage;
  if (mprotect(reinterpret_cast<void*>(base_), mapping_size_ - 2 * kPage, PROT_READ | PROT_WRITE) != 0)
    throw LoadError("the code object's segments cannot be made writable");
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type != PT_LOAD || segment.p_filesz == 0) continue;
    const auto contents = bytes(segment.p_offset, segment.p_filesz);
    std::memcpy(reinterpret_cast<void*>(base_ + segment.p_vaddr), contents.data(), contents.size());
  }
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type != PT_LOAD || segment.p_memsz == 0) continue;
    Allocation allocation;
    allocation.base = base_ + segment.p_vaddr;
    allocation.size = segment.p_memsz;
    allocation.kind = AllocationKind::code_object;
    allocation.writable = (segment.p_flags & PF_W) != 0;
    allocation.label = ((segment.p_flags & PF_X) != 0   ? "code of "
                        : (segment.p_flags & PF_W) != 0 ? "variables of "
                                                        : "constants of ") +
                       label_;
    if (process_allocations().add(allocation)) allocations_.push_back(allocation.base);
  }
}

void LoadedCode::relocate(const SymbolResolver& resolver) {
  const Elf64_Shdr* symbols = section(".dynsym");
  for (const Elf64_Shdr& table : sections_) {
    if (table.sh_type != SHT_RELA || (table.sh_flags & SHF_ALLOC) == 0) continue;
    for (std::uint64_t offset = 0; offset + sizeof(Elf64_Rela) <= table.sh_size;
         offset += sizeof(Elf64_Rela)) {
      const auto entry = read<Elf64_Rela>(table.sh_offset + offset);
      auto value = static_cast<std::uint64_t>(entry.r_addend);
      const auto type = static_cast<std::uint32_t>(ELF64_R_TYPE(entry.r_info));
      if (type == kRelocationAbsolute64 && symbols != nullptr) {
        const auto symbol =
            read<Elf64_Sym>(symbols->sh_offset + ELF64_R_SYM(entry.r_info) * sizeof(Elf64_Sym));
        if (symbol.st_shndx == SHN_UNDEF) {
          const Elf64_Shdr& names = sections_.at(symbols->sh_link);
          const std::string name = string_at(names.sh_offset, names.sh_size, symbol.st_name);
          const auto address = resolver ? resolver(name) : std::nullopt;
          if (!address && ELF64_ST_BIND(symbol.st_info) != STB_WEAK)
            throw LoadError("undefined symbol " + name);
          value = address ? value + *address : 0;
        } else {
          value += base_ + symbol.st_value;
        }
      } else if (type == kRelocationRelative64) {
        value += base_;
      } else {
        throw LoadError("relocation type " + std::to_string(type) + " is not known");
      }
      if (entry.r_offset + sizeof value > mapping_size_ - 2 * kPage)
        throw LoadError("a relocation lies outside the loaded segments");
      std::memcpy(reinterpret_cast<void*>(base_ + entry.r_offset), &value, sizeof value);
    }
  }
}

void LoadedCode::protect_segments() {
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type != PT_LOAD || segment.p_memsz == 0 || (segment.p_flags & PF_W) != 0) continue;
    const std::uint64_t begin = base_ + segment.p_vaddr / kPage * kPage;
    const std::uint64_t end = base_ + round_up(segment.p_vaddr + segment.p_memsz, kPage);
    const bool shares_a_page = std::ranges::any_of(segments_, [&](const Elf64_Phdr& other) {
      return other.p_type == PT_LOAD && (other.p_flags & PF_W) != 0 && base_ + other.p_vaddr < end &&
             base_ + other.p_vaddr + other.p_memsz > begin;
    });
    if (!shares_a_page) mprotect(reinterpret_cast<void*>(begin), end - begin, PROT_READ);
  }
}

void LoadedCode::read_symbols() {
  for (const char* name : {".dynsym", ".symtab"}) {
    const Elf64_Shdr* table = section(name);
    if (table == nullptr) continue;
    const Elf64_Shdr& names = sections_.at(table->sh_link);
    for (std::uint64_t offset = 0; offset + sizeof(Elf64_Sym) <= table->sh_size;
         offset += sizeof(Elf64_Sym)) {
      const auto symbol = read<Elf64_Sym>(table->sh_offset + offset);
      if (symbol.st_shndx == SHN_UNDEF || symbol.st_name == 0) continue;
      const std::string text = string_at(names.sh_offset, names.sh_size, symbol.st_name);
      if (!symbols_.emplace(text, symbol).second) continue;
      const unsigned type = ELF64_ST_TYPE(symbol.st_info);
      if (type == STT_FUNC) functions_.push_back({symbol.st_value, symbol.st_size, text});
      if (type == STT_OBJECT && symbol.st_size != 0 && !text.ends_with(".kd"))
        globals_.push_back({text, base_ + symbol.st_value, symbol.st_size});
    }
  }
  std::ranges::sort(functions_, {}, &Function::begin);
  std::ranges::sort(globals_, {}, &GlobalVariable::name);
}

void LoadedCode::read_kernels() {
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type != PT_NOTE) continue;
    for (std::uint64_t offset = 0; offset + sizeof(Elf64_Nhdr) <= segment.p_filesz;) {
      const auto note = read<Elf64_Nhdr>(segment.p_offset + offset);
      const std::uint64_t name_offset = segment.p_offset + offset + sizeof note;
      const std::uint64_t contents_offset = name_offset + round_up(note.n_namesz, 4);
      offset = contents_offset + round_up(note.n_descsz, 4) - segment.p_offset;
      if (note.n_type != kMetadataNote || note.n_namesz < 6 ||
          std::memcmp(bytes(name_offset, 6).data(), "AMDGPU", 6) != 0)
        continue;
      for (KernelMetadata& entry : read_metadata(bytes(contents_offset, note.n_descsz))) {
        const auto symbol = symbols_.find(entry.descriptor_symbol);
        if (symbol == symbols_.end()) throw LoadError("kernel " + entry.name + " has no descriptor");
        Descriptor descriptor;
        if (symbol->second.st_value + sizeof descriptor > mapping_size_ - 2 * kPage)
          throw LoadError("the descriptor of kernel " + entry.name + " lies outside the loaded segments");
        Kernel kernel;
        kernel.descriptor = base_ + symbol->second.st_value;
        std::memcpy(&descriptor, reinterpret_cast<const void*>(kernel.descriptor), sizeof descriptor);
        if ((descriptor.properties & kPropertyWave32) != 0 || entry.wave_size != 64)
          throw LoadError("kernel " + entry.name + " is compiled for waves of 32 lanes; the device has 64");
        kernel.name = entry.name;
        kernel.entry = kernel.descriptor + static_cast<std::uint64_t>(descriptor.entry_offset);
        kernel.lds_size = descriptor.lds_size;
        kernel.scratch_size = descriptor.scratch_size;
        kernel.kernarg_size = descriptor.kernarg_size;
        kernel.resource1 = descriptor.resource1;
        kernel.resource2 = descriptor.resource2;
        kernel.resource3 = descriptor.resource3;
        kernel.properties = descriptor.properties;
        kernel.kernarg_preload = descriptor.kernarg_preload;
        kernel.dynamic_stack = entry.dynamic_stack || (descriptor.properties & kPropertyDynamicStack) != 0;
        kernel.maximum_block_size = entry.maximum_block_size;
        kernel.vgpr_count = ((descriptor.resource1 & 0x3f) + 1) * 8;
        kernel.accumulator_offset = ((descriptor.resource3 & 0x3f) + 1) * 4;
        kernel.agpr_count = entry.agpr_count;
        kernel.sgpr_count = entry.sgpr_count;
        for (const KernelArgument& argument : entry.arguments)
          if (!argument.hidden())
            kernel.explicit_size = std::max(kernel.explicit_size, argument.offset + argument.size);
        for (const KernelArgument& argument : entry.arguments)
          kernel.kernarg_size = std::max(kernel.kernarg_size, argument.offset + argument.size);
        kernel.arguments = std::move(entry.arguments);
        kernels_.push_back(std::move(kernel));
      }
    }
  }
}

void LoadedCode::lower_code() {
  for (const Elf64_Shdr& code : sections_) {
    if (code.sh_type != SHT_PROGBITS || (code.sh_flags & SHF_EXECINSTR) == 0 || code.sh_size < 4) continue;
    const std::uint64_t address = base_ + code.sh_addr;
    const std::span<const std::uint32_t> words(reinterpret_cast<const std::uint32_t*>(address),
                                               code.sh_size / 4);
    programs_.push_back(std::make_unique<Program>(words, address, base_, architecture_));
  }

  // A refused instruction in a kernel concerns that kernel; in a function that kernels call, all of them:
  // which kernel reaches it through a pointer cannot be known.
  std::unordered_map<std::string, Kernel*> by_name;
  for (Kernel& kernel : kernels_) {
    by_name.emplace(kernel.name, &kernel);
    if (program_at(kernel.entry) == nullptr || program_at(kernel.entry)->at(kernel.entry) == nullptr)
      throw LoadError("the entry of kernel " + kernel.name + " is not an instruction");
  }
  for (const auto& program : programs_) {
    for (const Program::Refusal& refusal : program->refusals()) {
      const std::uint64_t place = refusal.address - base_;
      const Function* function = function_at(place);
      if (function == nullptr) continue;  // data or padding between functions
      char position[32];
      std::snprintf(position, sizeof position, " at 0x%llx", static_cast<unsigned long long>(place));
      const std::string text = refusal.instruction + position + " in " + demangle(function->name);
      if (const auto kernel = by_name.find(function->name); kernel != by_name.end())
        kernel->second->refused.push_back(text);
      else
        for (Kernel& other : kernels_) other.refused.push_back(text);
    }
  }
}

void LoadedCode::open_coverage() {
  std::size_t count = 0;
  for (const auto& program : programs_) count += program->size();
  if (kernels_.empty() || count == 0) return;
  coverage_ = CoverageMarks::open(image_, label_, count);
  if (!coverage_) return;
  std::uint8_t* marks = coverage_->marks();
  for (const auto& program : programs_) {
    program->set_marks(marks);
    marks += program->size();
  }
}

const Function* LoadedCode::function_at(std::uint64_t file_address) const {
  auto after = std::ranges::upper_bound(functions_, file_address, {}, &Function::begin);
  if (after == functions_.begin()) return nullptr;
  const Function& function = *std::prev(after);
  return file_address - function.begin < function.size ? &function : nullptr;
}

const Program* LoadedCode::program_at(std::uint64_t address) const {
  for (const auto& program : programs_)
    if (program->contains(address)) return program.get();
  return nullptr;
}

const Kernel* LoadedCode::find_kernel(std::string_view name) const {
  if (name.ends_with(".kd")) name.remove_suffix(3);
  const auto found = std::ranges::find(kernels_, name, &Kernel::name);
  return found == kernels_.end() ? nullptr : &*found;
}

const GlobalVariable* LoadedCode::find_global(std::string_view name) const {
  const auto found = std::ranges::lower_bound(globals_, name, {}, &GlobalVariable::name);
  return found != globals_.end() && found->name == name ? &*found : nullptr;
}

void LoadedCode::read_lines() const {
  std::call_once(lines_read_, [&] {
    const auto contents = [&](std::string_view name) -> std::span<const std::byte> {
      const Elf64_Shdr* found = section(name);
      if (found == nullptr || found->sh_type == SHT_NOBITS) return {};
      return bytes(found->sh_offset, found->sh_size);
    };
    lines_ = std::make_unique<LineTable>(contents(".debug_line"), contents(".debug_line_str"),
                                         contents(".debug_str"));
    DebugSections sections;
    sections.information = contents(".debug_info");
    sections.abbreviations = contents(".debug_abbrev");
    sections.addresses = contents(".debug_addr");
    sections.ranges = contents(".debug_rnglists");
    sections.old_ranges = contents(".debug_ranges");
    sections.strings = contents(".debug_str");
    sections.line_strings = contents(".debug_line_str");
    sections.string_offsets = contents(".debug_str_offsets");
    frames_ = std::make_unique<InlineFrames>(sections);
  });
}

std::vector<SourceLocation> LoadedCode::locate(std::uint64_t address) const {
  read_lines();
  const std::uint64_t place = address - base_;
  const Function* function = function_at(place);
  std::vector<SourceLocation> result = frames_->find(place, *lines_);
  if (!result.empty()) return result;
  // Code into which nothing was inlined has no entry with -gline-tables-only: the symbol table names it.
  if (auto line = lines_->find(place)) result.push_back({line->file, line->line, {}});
  if (function != nullptr) {
    if (result.empty()) result.emplace_back();
    result.back().function = demangle(function->name);
  }
  return result;
}

std::vector<std::uint64_t> LoadedCode::instruction_addresses() const {
  std::vector<std::uint64_t> result;
  for (const auto& program : programs_) {
    const std::vector<std::uint64_t> some = program->addresses();
    result.insert(result.end(), some.begin(), some.end());
  }
  return result;
}

void LoadedCode::locate_all(std::span<const std::uint64_t> addresses, const Visitor& visit) const {
  read_lines();
  std::vector<std::uint64_t> places(addresses.begin(), addresses.end());
  for (std::uint64_t& place : places) place -= base_;
  std::unordered_map<const Function*, std::string> names;
  static const std::string kNoSymbol;
  frames_->find_all(places, *lines_, [&](std::size_t index, std::vector<SourceLocation>& frames) {
    const Function* function = function_at(places[index]);
    if (frames.empty()) {
      frames.emplace_back();
      if (const auto line = lines_->find_exactly(places[index])) {
        frames.back().file = line->file;
        frames.back().line = line->line;
      }
      if (function != nullptr) {
        auto [name, is_new] = names.try_emplace(function);
        if (is_new) name->second = demangle(function->name);
        frames.back().function = name->second;
      }
    }
    visit(index, function == nullptr ? kNoSymbol : function->name, frames);
  });
}

}  // namespace virtual_rocm::engine
