// SPDX-License-Identifier: MIT
#include "engine/loader/line_table.hpp"

#include <algorithm>

#include "engine/loader/dwarf_reader.hpp"

namespace virtual_rocm::engine {
namespace {

// DWARF constants, by the names of the standard.
enum StandardOpcode : std::uint8_t {
  kExtended = 0,
  kCopy = 1,
  kAdvancePc = 2,
  kAdvanceLine = 3,
  kSetFile = 4,
  kConstAddPc = 8,
  kFixedAdvancePc = 9,
};
enum ExtendedOpcode : std::uint8_t { kEndSequence = 1, kSetAddress = 2 };
enum ContentType : std::uint64_t { kPath = 1, kDirectoryIndex = 2 };
enum Form : std::uint64_t {
  kBlock = 0x09,
  kData1 = 0x0b,
  kData2 = 0x05,
  kData4 = 0x06,
  kData8 = 0x07,
  kData16 = 0x1e,
  kString = 0x08,
  kStrp = 0x0e,
  kLineStrp = 0x1f,
  kUdata = 0x0f,
};

std::string join(const std::string& directory, const std::string& name) {
  if (name.starts_with('/') || directory.empty()) return name;
  return directory + "/" + name;
}

}  // namespace

// One unit of .debug_line.
class LineProgram {
 public:
  LineProgram(LineTable& table, std::uint64_t offset, std::span<const std::byte> line_strings,
              std::span<const std::byte> strings)
      : table_(table), line_strings_(line_strings), strings_(strings), files_(table.unit_files_[offset]) {}

  void run(DwarfReader unit, unsigned offset_size) {
    offset_size_ = offset_size;
    version_ = static_cast<unsigned>(unit.fixed(2));
    if (version_ < 2 || version_ > 5) return;
    if (version_ == 5) unit.skip(2);  // address size, segment selector size
    const std::uint64_t header_length = unit.fixed(offset_size);
    DwarfReader header = unit.part(header_length);
    minimum_length_ = header.byte();
    if (version_ >= 4) header.skip(1);  // maximum operations per instruction: 1 except on VLIW machines
    header.skip(1);                     // default is_stmt
    line_base_ = static_cast<std::int8_t>(header.byte());
    line_range_ = header.byte();
    opcode_base_ = header.byte();
    if (line_range_ == 0) return;
    for (unsigned opcode = 1; opcode < opcode_base_; ++opcode) operand_counts_.push_back(header.byte());
    if (version_ == 5)
      read_tables(header);
    else
      read_old_tables(header);
    execute(unit);
  }

 private:
  void read_old_tables(DwarfReader& header) {
    std::vector<std::string> directories{""};
    for (std::string text = header.string(); !text.empty(); text = header.string())
      directories.push_back(text);
    files_.push_back(add_file(""));
    for (std::string text = header.string(); !text.empty(); text = header.string()) {
      const std::uint64_t directory = header.unsigned_leb();
      header.unsigned_leb();
      header.unsigned_leb();
      files_.push_back(add_file(join(directory < directories.size() ? directories[directory] : "", text)));
    }
  }

  void read_tables(DwarfReader& header) {
    const auto directories = read_entries(header);
    std::string root = directories.empty() ? std::string() : directories[0].first;
    for (const auto& [name, directory] : read_entries(header)) {
      std::string folder = directory < directories.size() ? directories[directory].first : std::string();
      if (directory != 0 && !folder.empty()) folder = join(root, folder);
      files_.push_back(add_file(join(folder, name)));
    }
  }

  // Pairs of path and directory index.
  std::vector<std::pair<std::string, std::uint64_t>> read_entries(DwarfReader& header) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> formats;
    const unsigned format_count = header.byte();
    for (unsigned index = 0; index < format_count; ++index) {
      const std::uint64_t type = header.unsigned_leb();
      formats.emplace_back(type, header.unsigned_leb());
    }
    std::vector<std::pair<std::string, std::uint64_t>> entries;
    const std::uint64_t count = header.unsigned_leb();
    for (std::uint64_t index = 0; index < count; ++index) {
      std::pair<std::string, std::uint64_t> entry{"", 0};
      for (const auto& [type, form] : formats) {
        std::string text;
        std::uint64_t number = 0;
        switch (form) {
          case kString:
            text = header.string();
            break;
          case kLineStrp:
            text = dwarf_string(line_strings_, header.fixed(offset_size_));
            break;
          case kStrp:
            text = dwarf_string(strings_, header.fixed(offset_size_));
            break;
          case kUdata:
            number = header.unsigned_leb();
            break;
          case kData1:
            number = header.fixed(1);
            break;
          case kData2:
            number = header.fixed(2);
            break;
          case kData4:
            number = header.fixed(4);
            break;
          case kData8:
            number = header.fixed(8);
            break;
          case kData16:
            header.skip(16);
            break;
          case kBlock:
            header.skip(header.unsigned_leb());
            break;
          default:
            throw MalformedDwarf("unknown form");
        }
        if (type == kPath) entry.first = text;
        if (type == kDirectoryIndex) entry.second = number;
      }
      entries.push_back(std::move(entry));
    }
    return entries;
  }

  std::uint32_t add_file(std::string path) {
    table_.files_.push_back(std::move(path));
    return static_cast<std::uint32_t>(table_.files_.size() - 1);
  }

  void execute(DwarfReader& unit) {
    reset();
    while (!unit.done()) {
      const std::uint8_t opcode = unit.byte();
      if (opcode >= opcode_base_) {
        const unsigned adjusted = opcode - opcode_base_;
        address_ += std::uint64_t{adjusted / line_range_} * minimum_length_;
        line_ += line_base_ + static_cast<int>(adjusted % line_range_);
        emit(false);
        continue;
      }
      switch (opcode) {
        case kExtended:
          extended(unit);
          break;
        case kCopy:
          emit(false);
          break;
        case kAdvancePc:
          address_ += unit.unsigned_leb() * minimum_length_;
          break;
        case kAdvanceLine:
          line_ += unit.signed_leb();
          break;
        case kSetFile:
          file_ = unit.unsigned_leb();
          break;
        case kConstAddPc:
          address_ += std::uint64_t{(255u - opcode_base_) / line_range_} * minimum_length_;
          break;
        case kFixedAdvancePc:
          address_ += unit.fixed(2);
          break;
        default:
          for (unsigned index = 0; index < operand_counts_.at(opcode - 1u); ++index) unit.unsigned_leb();
      }
    }
  }

  void extended(DwarfReader& unit) {
    DwarfReader operands = unit.part(unit.unsigned_leb());
    switch (operands.byte()) {
      case kEndSequence:
        emit(true);
        reset();
        break;
      case kSetAddress:
        address_ = operands.fixed(8);
        break;
      default:
        break;
    }
  }

  void reset() {
    address_ = 0;
    line_ = 1;
    file_ = 1;
  }

  void emit(bool end) {
    const std::uint32_t file = file_ < files_.size() ? files_[file_] : 0;
    const auto order = static_cast<std::uint32_t>(table_.rows_.size());
    table_.rows_.push_back({address_, file, static_cast<std::uint32_t>(line_), order, end});
  }

  LineTable& table_;
  std::span<const std::byte> line_strings_;
  std::span<const std::byte> strings_;
  unsigned offset_size_ = 4;
  unsigned version_ = 0;
  unsigned minimum_length_ = 1;
  int line_base_ = 0;
  unsigned line_range_ = 1;
  unsigned opcode_base_ = 1;
  std::vector<std::uint8_t> operand_counts_;
  std::vector<std::uint32_t>& files_;
  std::uint64_t address_ = 0;
  std::int64_t line_ = 1;
  std::uint64_t file_ = 1;
};

LineTable::LineTable(std::span<const std::byte> program, std::span<const std::byte> line_strings,
                     std::span<const std::byte> strings) {
  files_.emplace_back();
  DwarfReader reader(program);
  try {
    while (!reader.done()) {
      const std::size_t offset = reader.position();
      unsigned offset_size = 4;
      const std::uint64_t length = reader.initial_length(offset_size);
      const DwarfReader unit = reader.part(length);
      try {
        LineProgram(*this, offset, line_strings, strings).run(unit, offset_size);
      } catch (const std::exception&) {
        // The next unit may still be good.
      }
    }
  } catch (const MalformedDwarf&) {
  }
  // An end and a beginning at one address: the beginning is the later one, so that find() sees it.
  std::ranges::sort(rows_, [](const Row& left, const Row& right) {
    if (left.address != right.address) return left.address < right.address;
    return left.end != right.end ? left.end : left.order < right.order;
  });
}

std::string LineTable::file(std::uint64_t unit, std::uint64_t index) const {
  const auto found = unit_files_.find(unit);
  if (found == unit_files_.end() || index >= found->second.size()) return {};
  return files_[found->second[index]];
}

std::optional<LineTable::Line> LineTable::find_exactly(std::uint64_t address) const {
  const auto after = std::ranges::upper_bound(rows_, address, {}, &Row::address);
  if (after == rows_.begin() || std::prev(after)->end) return std::nullopt;
  return Line{files_[std::prev(after)->file], std::prev(after)->line};
}

std::optional<LineTable::Line> LineTable::find(std::uint64_t address) const {
  const auto after = std::ranges::upper_bound(rows_, address, {}, &Row::address);
  // Line 0 marks code that the compiler made up; the line before it is the nearest true one.
  for (auto row = after; row != rows_.begin();) {
    --row;
    if (row->end) return std::nullopt;
    if (row->line != 0) return Line{files_[row->file], row->line};
  }
  return std::nullopt;
}

}  // namespace virtual_rocm::engine
