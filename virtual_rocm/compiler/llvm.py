# SPDX-License-Identifier: MIT
"""The few operations on LLVM modules that the compiler needs, through LLVM's C interface.

LLVM's command-line tools cannot do what separate compilation of kernels needs: turn every variable of a module into an
external symbol, those with internal linkage included, in one half, and into a declaration in the other.
"""

from __future__ import annotations

import ctypes
import functools
from collections import Counter
from collections.abc import Collection, Iterator
from ctypes import c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from dataclasses import dataclass
from pathlib import Path

from virtual_rocm.compiler.errors import CompilationFailed

__all__ = ["Module", "Variable", "load_llvm"]

# Numbers of LLVM's C interface.
_EXTERNAL = 0
_INTERNAL = 8
_PRIVATE = 9
_DEFAULT_VISIBILITY = 0
_AMDGPU_KERNEL = 91

_CALL = 45
_OF_THE_FUNCTION = 0xFFFFFFFF  # where an attribute belongs

# Address spaces of the AMDGPU target.
_GLOBAL_MEMORY = 1
_LDS = 3
_CONSTANT_MEMORY = 4

_P = c_void_p
_SIGNATURES: dict[str, tuple[object, list[object]]] = {
    "LLVMContextCreate": (_P, []),
    "LLVMContextDispose": (None, [_P]),
    "LLVMCreateMemoryBufferWithContentsOfFile": (c_int, [c_char_p, _P, _P]),
    "LLVMCreateMemoryBufferWithMemoryRangeCopy": (_P, [c_char_p, c_size_t, c_char_p]),
    "LLVMParseBitcodeInContext2": (c_int, [_P, _P, _P]),
    "LLVMDisposeMemoryBuffer": (None, [_P]),
    "LLVMStripModuleDebugInfo": (c_int, [_P]),
    "LLVMWriteBitcodeToMemoryBuffer": (_P, [_P]),
    "LLVMGetBufferStart": (_P, [_P]),
    "LLVMGetBufferSize": (c_size_t, [_P]),
    "LLVMDisposeModule": (None, [_P]),
    "LLVMLinkModules2": (c_int, [_P, _P]),
    "LLVMGetFirstFunction": (_P, [_P]),
    "LLVMGetNextFunction": (_P, [_P]),
    "LLVMGetFirstGlobal": (_P, [_P]),
    "LLVMGetNextGlobal": (_P, [_P]),
    "LLVMGetNamedFunction": (_P, [_P, c_char_p]),
    "LLVMGetNamedGlobal": (_P, [_P, c_char_p]),
    "LLVMGetValueName2": (_P, [_P, _P]),
    "LLVMSetValueName2": (None, [_P, c_char_p, c_size_t]),
    "LLVMIsDeclaration": (c_int, [_P]),
    "LLVMGetLinkage": (c_int, [_P]),
    "LLVMSetLinkage": (None, [_P, c_int]),
    "LLVMSetVisibility": (None, [_P, c_int]),
    "LLVMGetFunctionCallConv": (c_uint, [_P]),
    "LLVMIsGlobalConstant": (c_int, [_P]),
    "LLVMSetGlobalConstant": (None, [_P, c_int]),
    "LLVMIsExternallyInitialized": (c_int, [_P]),
    "LLVMSetExternallyInitialized": (None, [_P, c_int]),
    "LLVMGetInitializer": (_P, [_P]),
    "LLVMSetInitializer": (None, [_P, _P]),
    "LLVMGetAlignment": (c_uint, [_P]),
    "LLVMSetAlignment": (None, [_P, c_uint]),
    "LLVMGlobalGetValueType": (_P, [_P]),
    "LLVMTypeOf": (_P, [_P]),
    "LLVMGetPointerAddressSpace": (c_uint, [_P]),
    "LLVMAddGlobalInAddressSpace": (_P, [_P, _P, c_char_p, c_uint]),
    "LLVMReplaceAllUsesWith": (None, [_P, _P]),
    "LLVMDeleteGlobal": (None, [_P]),
    "LLVMGetFirstBasicBlock": (_P, [_P]),
    "LLVMGetNextBasicBlock": (_P, [_P]),
    "LLVMGetFirstInstruction": (_P, [_P]),
    "LLVMGetNextInstruction": (_P, [_P]),
    "LLVMGetInstructionOpcode": (c_int, [_P]),
    "LLVMGetCalledValue": (_P, [_P]),
    "LLVMIsAFunction": (_P, [_P]),
    "LLVMIsAInstruction": (_P, [_P]),
    "LLVMGetInstructionParent": (_P, [_P]),
    "LLVMGetBasicBlockParent": (_P, [_P]),
    "LLVMGetFirstUse": (_P, [_P]),
    "LLVMGetNextUse": (_P, [_P]),
    "LLVMGetUser": (_P, [_P]),
    "LLVMGetEnumAttributeKindForName": (c_uint, [c_char_p, c_size_t]),
    "LLVMCreateEnumAttribute": (_P, [_P, c_uint, c_uint64]),
    "LLVMAddAttributeAtIndex": (None, [_P, c_uint, _P]),
    "LLVMRemoveEnumAttributeAtIndex": (None, [_P, c_uint, c_uint]),
    "LLVMCreatePassBuilderOptions": (_P, []),
    "LLVMDisposePassBuilderOptions": (None, [_P]),
    "LLVMRunPasses": (_P, [_P, c_char_p, _P, _P]),
    "LLVMGetErrorMessage": (_P, [_P]),
    "LLVMDisposeErrorMessage": (None, [_P]),
    "LLVMDisposeMessage": (None, [_P]),
}


@functools.lru_cache(maxsize=4)
def load_llvm(library: Path) -> ctypes.CDLL:
    """The library with the types of all functions that are used here."""
    llvm = ctypes.CDLL(str(library))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(llvm, name)
        function.restype = result
        function.argtypes = arguments
    return llvm


@dataclass(frozen=True)
class Variable:
    """A variable in the device's memory that all kernels of a module share."""

    name: str
    handle: int


class Module:
    """One LLVM module in a context of its own."""

    def __init__(self, llvm: ctypes.CDLL, context: int, handle: int) -> None:
        self._llvm = llvm
        self._context = context
        self._handle = handle

    @classmethod
    def parse(cls, llvm: ctypes.CDLL, bitcode: bytes, name: str) -> Module:
        """The module that some bitcode holds."""
        context = llvm.LLVMContextCreate()
        return cls(llvm, context, _parse(llvm, context, bitcode, name))

    def close(self) -> None:
        """Gives back the memory of the module; nothing else may be called then."""
        self._llvm.LLVMDisposeModule(self._handle)
        self._llvm.LLVMContextDispose(self._context)

    def link(self, bitcode: bytes, name: str) -> None:
        """Adds the definitions of another module."""
        other = _parse(self._llvm, self._context, bitcode, name)
        if self._llvm.LLVMLinkModules2(self._handle, other):  # which also disposes of the other one
            raise CompilationFailed(f"{name} cannot be linked into the module")

    def bitcode(self) -> bytes:
        """The module as bitcode."""
        buffer = self._llvm.LLVMWriteBitcodeToMemoryBuffer(self._handle)
        try:
            return ctypes.string_at(self._llvm.LLVMGetBufferStart(buffer), self._llvm.LLVMGetBufferSize(buffer))
        finally:
            self._llvm.LLVMDisposeMemoryBuffer(buffer)

    def kernels(self) -> list[str]:
        """The names of the kernels that are defined."""
        return [
            self._name(function)
            for function in self._functions()
            if not self._llvm.LLVMIsDeclaration(function)
            and self._llvm.LLVMGetFunctionCallConv(function) == _AMDGPU_KERNEL
        ]

    def undefined_functions(self) -> list[str]:
        """The names of the functions that are called but defined nowhere; intrinsics aside."""
        return [
            name
            for name in (self._name(f) for f in self._functions() if self._llvm.LLVMIsDeclaration(f))
            if not name.startswith("llvm.")
        ]

    def variables(self) -> list[Variable]:
        """The variables that keep a state which the host or another kernel can see.

        These are the ones in global or constant memory that can change: through the device, or through the host, which
        is what "externally initialized" means. Constants (string literals, tables) are not among them, so every kernel
        can have its own copy; nor is LDS, which belongs to a block.
        """
        found = []
        for number, handle in enumerate(self._globals()):
            name = self._name(handle)
            if self._llvm.LLVMIsDeclaration(handle) or name.startswith("llvm."):
                continue
            if self._address_space(handle) not in (_GLOBAL_MEMORY, _CONSTANT_MEMORY):
                continue
            if self._llvm.LLVMIsGlobalConstant(handle) and not self._llvm.LLVMIsExternallyInitialized(handle):
                continue
            found.append(Variable(name or f"__virtual_rocm_variable_{number}", handle))
        return found

    def share_variables(self, *, define: bool) -> list[str]:
        """Makes every variable an external symbol, defined here or only declared, and returns their names."""
        for list_name in (b"llvm.compiler.used", b"llvm.used"):
            held = self._llvm.LLVMGetNamedGlobal(self._handle, list_name)
            if held:
                self._llvm.LLVMDeleteGlobal(held)
        names = []
        for variable in self.variables():
            self._replace(variable, define=define)
            names.append(variable.name)
        return names

    def _replace(self, variable: Variable, *, define: bool) -> None:
        # A new variable, because the interface cannot take the mark "local to this object" (dso_local) off an old one.
        llvm, old = self._llvm, variable.handle
        llvm.LLVMSetValueName2(old, b"", 0)
        name = variable.name.encode()
        new = llvm.LLVMAddGlobalInAddressSpace(
            self._handle, llvm.LLVMGlobalGetValueType(old), name, self._address_space(old)
        )
        llvm.LLVMSetLinkage(new, _EXTERNAL)
        llvm.LLVMSetVisibility(new, _DEFAULT_VISIBILITY)
        llvm.LLVMSetAlignment(new, llvm.LLVMGetAlignment(old))
        llvm.LLVMSetGlobalConstant(new, llvm.LLVMIsGlobalConstant(old))
        llvm.LLVMSetExternallyInitialized(new, 1)
        if define:
            llvm.LLVMSetInitializer(new, llvm.LLVMGetInitializer(old))
        llvm.LLVMReplaceAllUsesWith(old, new)
        llvm.LLVMDeleteGlobal(old)

    def keep_only(self, kernel: str | None) -> None:
        """Removes every function that the kernel does not need; with None, all functions that no variable needs."""
        for function in self._functions():
            if self._llvm.LLVMIsDeclaration(function) or self._name(function) == kernel:
                continue
            self._llvm.LLVMSetVisibility(function, _DEFAULT_VISIBILITY)
            self._llvm.LLVMSetLinkage(function, _INTERNAL)
        self._run_passes(b"globaldce")

    def hide_functions(self) -> None:
        """Makes all functions but kernels internal, so that what no kernel needs is removed."""
        for function in self._functions():
            if self._llvm.LLVMIsDeclaration(function):
                continue
            if self._llvm.LLVMGetFunctionCallConv(function) != _AMDGPU_KERNEL:
                self._llvm.LLVMSetVisibility(function, _DEFAULT_VISIBILITY)
                self._llvm.LLVMSetLinkage(function, _INTERNAL)
        self._run_passes(b"globaldce")

    def call_graph(self) -> dict[str, tuple[int, dict[str, int]]]:
        """For each function that is defined: its number of instructions, and how often it calls which other one."""
        llvm = self._llvm
        graph = {}
        for function in self._functions():
            if llvm.LLVMIsDeclaration(function):
                continue
            instructions = 0
            calls: Counter[str] = Counter()
            block = llvm.LLVMGetFirstBasicBlock(function)
            while block:
                instruction = llvm.LLVMGetFirstInstruction(block)
                while instruction:
                    instructions += 1
                    if llvm.LLVMGetInstructionOpcode(instruction) == _CALL:
                        callee = llvm.LLVMGetCalledValue(instruction)
                        if llvm.LLVMIsAFunction(callee) and not llvm.LLVMIsDeclaration(callee):
                            calls[self._name(callee)] += 1
                    instruction = llvm.LLVMGetNextInstruction(instruction)
                block = llvm.LLVMGetNextBasicBlock(block)
            graph[self._name(function)] = (instructions, dict(calls))
        return graph

    def functions_with_lds(self) -> set[str]:
        """The names of the functions that use a variable in LDS themselves."""
        names: set[str] = set()
        waiting = [handle for handle in self._globals() if self._address_space(handle) == _LDS]
        while waiting:  # a use may be an expression of constants, which is used in turn
            use = self._llvm.LLVMGetFirstUse(waiting.pop())
            while use:
                user = self._llvm.LLVMGetUser(use)
                if self._llvm.LLVMIsAInstruction(user):
                    block = self._llvm.LLVMGetInstructionParent(user)
                    names.add(self._name(self._llvm.LLVMGetBasicBlockParent(block)))
                else:
                    waiting.append(user)
                use = self._llvm.LLVMGetNextUse(use)
        return names

    def inline_all_but(self, called: Collection[str], kernels: Collection[str]) -> None:
        """Marks functions: those that are to be called, and all others that are defined, but kernels, to be inlined."""
        names = ("alwaysinline", "noinline")
        always, never = (self._llvm.LLVMGetEnumAttributeKindForName(name.encode(), len(name)) for name in names)
        for function in self._functions():
            name = self._name(function)
            if self._llvm.LLVMIsDeclaration(function) or name in kernels:
                continue
            wanted, unwanted = (never, always) if name in called else (always, never)
            self._llvm.LLVMRemoveEnumAttributeAtIndex(function, _OF_THE_FUNCTION, unwanted)
            attribute = self._llvm.LLVMCreateEnumAttribute(self._context, wanted, 0)
            self._llvm.LLVMAddAttributeAtIndex(function, _OF_THE_FUNCTION, attribute)

    def strip(self) -> None:
        """Removes debug information: equal code has then equal bitcode. Functions keep the names that tell them apart."""
        self._llvm.LLVMStripModuleDebugInfo(self._handle)

    def _run_passes(self, passes: bytes) -> None:
        options = self._llvm.LLVMCreatePassBuilderOptions()
        try:
            error = self._llvm.LLVMRunPasses(self._handle, passes, None, options)
        finally:
            self._llvm.LLVMDisposePassBuilderOptions(options)
        if error:
            text = self._llvm.LLVMGetErrorMessage(error)
            message = ctypes.string_at(text).decode(errors="replace")
            self._llvm.LLVMDisposeErrorMessage(text)
            raise CompilationFailed(f"LLVM's passes {passes.decode()} failed: {message}")

    def _name(self, value: int) -> str:
        length = c_size_t()
        text = self._llvm.LLVMGetValueName2(value, ctypes.byref(length))
        return ctypes.string_at(text, length.value).decode(errors="replace")

    def _address_space(self, value: int) -> int:
        return int(self._llvm.LLVMGetPointerAddressSpace(self._llvm.LLVMTypeOf(value)))

    def _functions(self) -> Iterator[int]:
        yield from self._walk(self._llvm.LLVMGetFirstFunction, self._llvm.LLVMGetNextFunction)

    def _globals(self) -> Iterator[int]:
        yield from self._walk(self._llvm.LLVMGetFirstGlobal, self._llvm.LLVMGetNextGlobal)

    def _walk(self, first: ctypes._NamedFuncPointer, following: ctypes._NamedFuncPointer) -> Iterator[int]:
        # The list first: what is yielded may be replaced by the caller.
        values = []
        value = first(self._handle)
        while value:
            values.append(value)
            value = following(value)
        yield from values


def _parse(llvm: ctypes.CDLL, context: int, bitcode: bytes, name: str) -> int:
    buffer = llvm.LLVMCreateMemoryBufferWithMemoryRangeCopy(bitcode, len(bitcode), name.encode())
    handle = c_void_p()
    failed = llvm.LLVMParseBitcodeInContext2(context, buffer, ctypes.byref(handle))
    llvm.LLVMDisposeMemoryBuffer(buffer)
    if failed or not handle.value:
        raise CompilationFailed(f"{name} is not bitcode that this release of LLVM reads")
    return handle.value
