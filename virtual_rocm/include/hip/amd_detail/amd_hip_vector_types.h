// SPDX-License-Identifier: MIT
//
// The vector types char1 … double4, their constructors, arithmetic and make_ functions.
//
// A type of two or four elements is aligned to its size (at most 16 bytes); three elements are aligned as
// one.
#pragma once

#include <hip/amd_detail/host_defines.h>

#if defined(__cplusplus)

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace virtual_rocm_hip {

#if defined(__clang__)
// What the compiler calls a vector.
template <typename T, unsigned N>
using NativeVector __attribute__((ext_vector_type(N))) = T;
#else
// Host compilers without such vectors have a plain array in its place.
template <typename T, unsigned N>
struct NativeVector {
  T d[N];
  constexpr T& operator[](std::size_t index) { return d[index]; }
  constexpr T operator[](std::size_t index) const { return d[index]; }
};
#endif

}  // namespace virtual_rocm_hip

template <typename T, unsigned N>
struct HIP_vector_base;

template <typename T>
struct HIP_vector_base<T, 1> {
  using Native_vec_ = virtual_rocm_hip::NativeVector<T, 1>;
  union {
    Native_vec_ data;
    struct {
      T x;
    };
  };
  using value_type = T;
  __HOST_DEVICE__ HIP_vector_base() = default;
  __HOST_DEVICE__ constexpr HIP_vector_base(T x_) : data{x_} {}
};

template <typename T>
struct HIP_vector_base<T, 2> {
  using Native_vec_ = virtual_rocm_hip::NativeVector<T, 2>;
  union {
    Native_vec_ data;
    struct {
      T x;
      T y;
    };
  };
  using value_type = T;
  __HOST_DEVICE__ HIP_vector_base() = default;
  __HOST_DEVICE__ constexpr HIP_vector_base(T x_) : data{x_, x_} {}
  __HOST_DEVICE__ constexpr HIP_vector_base(T x_, T y_) : data{x_, y_} {}
};

template <typename T>
struct HIP_vector_base<T, 3> {
  // A native vector of three is as large as one of four, so this one is a plain struct with conversions.
  struct Native_vec_ {
    T d[3];
    __HOST_DEVICE__ constexpr T& operator[](std::size_t index) { return d[index]; }
    __HOST_DEVICE__ constexpr T operator[](std::size_t index) const { return d[index]; }
  };
  union {
    Native_vec_ data;
    struct {
      T x;
      T y;
      T z;
    };
  };
  using value_type = T;
  __HOST_DEVICE__ HIP_vector_base() = default;
  __HOST_DEVICE__ constexpr HIP_vector_base(T x_) : data{{x_, x_, x_}} {}
  __HOST_DEVICE__ constexpr HIP_vector_base(T x_, T y_, T z_) : data{{x_, y_, z_}} {}
};

template <typename T>
struct HIP_vector_base<T, 4> {
  using Native_vec_ = virtual_rocm_hip::NativeVector<T, 4>;
  union {
    Native_vec_ data;
    struct {
      T x;
      T y;
      T z;
      T w;
    };
  };
  using value_type = T;
  __HOST_DEVICE__ HIP_vector_base() = default;
  __HOST_DEVICE__ constexpr HIP_vector_base(T x_) : data{x_, x_, x_, x_} {}
  __HOST_DEVICE__ constexpr HIP_vector_base(T x_, T y_, T z_, T w_) : data{x_, y_, z_, w_} {}
};

namespace virtual_rocm_hip {
// Vectors of 16 bytes and less are aligned to their size; longer ones (long4, double4) to 16 bytes.
constexpr std::size_t vector_alignment(std::size_t element, unsigned count) {
  const std::size_t size = element * count;
  return count == 3 ? element : (size > 16 ? 16 : size);
}
}  // namespace virtual_rocm_hip

template <typename T, unsigned N>
struct __attribute__((aligned(virtual_rocm_hip::vector_alignment(sizeof(T), N)))) HIP_vector_type
    : public HIP_vector_base<T, N> {
  using HIP_vector_base<T, N>::data;
  using typename HIP_vector_base<T, N>::Native_vec_;

  __HOST_DEVICE__ HIP_vector_type() = default;

  // One value fills all elements, as in HIP.
  template <typename U, typename std::enable_if<std::is_convertible<U, T>::value, int>::type = 0>
  __HOST_DEVICE__ explicit constexpr HIP_vector_type(U value)
      : HIP_vector_base<T, N>(static_cast<T>(value)) {}

  template <typename... Us,
            typename std::enable_if<(N > 1) && sizeof...(Us) == N &&
                                        std::conjunction<std::is_convertible<Us, T>...>::value,
                                    int>::type = 0>
  __HOST_DEVICE__ constexpr HIP_vector_type(Us... values)
      : HIP_vector_base<T, N>(static_cast<T>(values)...) {}

  __HOST_DEVICE__ constexpr HIP_vector_type(const HIP_vector_type&) = default;
  __HOST_DEVICE__ constexpr HIP_vector_type(HIP_vector_type&&) = default;
  __HOST_DEVICE__ HIP_vector_type& operator=(const HIP_vector_type&) = default;
  __HOST_DEVICE__ HIP_vector_type& operator=(HIP_vector_type&&) = default;
  __HOST_DEVICE__ ~HIP_vector_type() = default;

  __HOST_DEVICE__ constexpr T& operator[](std::size_t index) { return (&this->x)[index]; }
  __HOST_DEVICE__ constexpr const T& operator[](std::size_t index) const { return (&this->x)[index]; }

#define VIRTUAL_ROCM_VECTOR_ASSIGN(op)                                                            \
  __HOST_DEVICE__ HIP_vector_type& operator op(const HIP_vector_type & other) {                   \
    for (unsigned i = 0; i < N; ++i) (*this)[i] op other[i];                                      \
    return *this;                                                                                 \
  }                                                                                               \
  template <typename U, typename std::enable_if<std::is_convertible<U, T>::value, int>::type = 0> \
  __HOST_DEVICE__ HIP_vector_type& operator op(U other) {                                         \
    for (unsigned i = 0; i < N; ++i) (*this)[i] op static_cast<T>(other);                         \
    return *this;                                                                                 \
  }
  VIRTUAL_ROCM_VECTOR_ASSIGN(+=)
  VIRTUAL_ROCM_VECTOR_ASSIGN(-=)
  VIRTUAL_ROCM_VECTOR_ASSIGN(*=)
  VIRTUAL_ROCM_VECTOR_ASSIGN(/=)
  VIRTUAL_ROCM_VECTOR_ASSIGN(%=)
  VIRTUAL_ROCM_VECTOR_ASSIGN(&=)
  VIRTUAL_ROCM_VECTOR_ASSIGN(|=)
  VIRTUAL_ROCM_VECTOR_ASSIGN(^=)
  VIRTUAL_ROCM_VECTOR_ASSIGN(<<=)
  VIRTUAL_ROCM_VECTOR_ASSIGN(>>=)
#undef VIRTUAL_ROCM_VECTOR_ASSIGN

  __HOST_DEVICE__ HIP_vector_type& operator++() { return *this += T(1); }
  __HOST_DEVICE__ HIP_vector_type operator++(int) {
    HIP_vector_type before(*this);
    *this += T(1);
    return before;
  }
  __HOST_DEVICE__ HIP_vector_type& operator--() { return *this -= T(1); }
  __HOST_DEVICE__ HIP_vector_type operator--(int) {
    HIP_vector_type before(*this);
    *this -= T(1);
    return before;
  }
  __HOST_DEVICE__ HIP_vector_type operator-() const {
    HIP_vector_type result(*this);
    for (unsigned i = 0; i < N; ++i) result[i] = static_cast<T>(-result[i]);
    return result;
  }
  __HOST_DEVICE__ HIP_vector_type operator~() const {
    HIP_vector_type result(*this);
    for (unsigned i = 0; i < N; ++i) result[i] = static_cast<T>(~result[i]);
    return result;
  }
};

#define VIRTUAL_ROCM_VECTOR_BINARY(op)                                                                   \
  template <typename T, unsigned N>                                                                      \
  __HOST_DEVICE__ inline HIP_vector_type<T, N> operator op(const HIP_vector_type<T, N>& left,            \
                                                           const HIP_vector_type<T, N>& right) {         \
    HIP_vector_type<T, N> result(left);                                                                  \
    result op## = right;                                                                                 \
    return result;                                                                                       \
  }                                                                                                      \
  template <typename T, unsigned N, typename U,                                                          \
            typename std::enable_if<std::is_arithmetic<U>::value, int>::type = 0>                        \
  __HOST_DEVICE__ inline HIP_vector_type<T, N> operator op(const HIP_vector_type<T, N>& left, U right) { \
    HIP_vector_type<T, N> result(left);                                                                  \
    result op## = right;                                                                                 \
    return result;                                                                                       \
  }                                                                                                      \
  template <typename T, unsigned N, typename U,                                                          \
            typename std::enable_if<std::is_arithmetic<U>::value, int>::type = 0>                        \
  __HOST_DEVICE__ inline HIP_vector_type<T, N> operator op(U left, const HIP_vector_type<T, N>& right) { \
    HIP_vector_type<T, N> result(left);                                                                  \
    result op## = right;                                                                                 \
    return result;                                                                                       \
  }
VIRTUAL_ROCM_VECTOR_BINARY(+)
VIRTUAL_ROCM_VECTOR_BINARY(-)
VIRTUAL_ROCM_VECTOR_BINARY(*)
VIRTUAL_ROCM_VECTOR_BINARY(/)
VIRTUAL_ROCM_VECTOR_BINARY(%)
VIRTUAL_ROCM_VECTOR_BINARY(&)
VIRTUAL_ROCM_VECTOR_BINARY(|)
VIRTUAL_ROCM_VECTOR_BINARY(^)
VIRTUAL_ROCM_VECTOR_BINARY(<<)
VIRTUAL_ROCM_VECTOR_BINARY(>>)
#undef VIRTUAL_ROCM_VECTOR_BINARY

template <typename T, unsigned N>
__HOST_DEVICE__ inline bool operator==(const HIP_vector_type<T, N>& left,
                                       const HIP_vector_type<T, N>& right) {
  bool equal = true;
  for (unsigned i = 0; i < N; ++i) equal = equal && left[i] == right[i];
  return equal;
}
template <typename T, unsigned N>
__HOST_DEVICE__ inline bool operator!=(const HIP_vector_type<T, N>& left,
                                       const HIP_vector_type<T, N>& right) {
  return !(left == right);
}

#define VIRTUAL_ROCM_VECTOR_TYPE(element, name)                                                 \
  using name##1 = HIP_vector_type<element, 1>;                                                  \
  using name##2 = HIP_vector_type<element, 2>;                                                  \
  using name##3 = HIP_vector_type<element, 3>;                                                  \
  using name##4 = HIP_vector_type<element, 4>;                                                  \
  __HOST_DEVICE__ inline name##1 make_##name##1(element x) { return name##1(x); }               \
  __HOST_DEVICE__ inline name##2 make_##name##2(element x, element y) { return name##2(x, y); } \
  __HOST_DEVICE__ inline name##3 make_##name##3(element x, element y, element z) {              \
    return name##3(x, y, z);                                                                    \
  }                                                                                             \
  __HOST_DEVICE__ inline name##4 make_##name##4(element x, element y, element z, element w) {   \
    return name##4(x, y, z, w);                                                                 \
  }

VIRTUAL_ROCM_VECTOR_TYPE(char, char)
VIRTUAL_ROCM_VECTOR_TYPE(unsigned char, uchar)
VIRTUAL_ROCM_VECTOR_TYPE(short, short)
VIRTUAL_ROCM_VECTOR_TYPE(unsigned short, ushort)
VIRTUAL_ROCM_VECTOR_TYPE(int, int)
VIRTUAL_ROCM_VECTOR_TYPE(unsigned int, uint)
VIRTUAL_ROCM_VECTOR_TYPE(long, long)
VIRTUAL_ROCM_VECTOR_TYPE(unsigned long, ulong)
VIRTUAL_ROCM_VECTOR_TYPE(long long, longlong)
VIRTUAL_ROCM_VECTOR_TYPE(unsigned long long, ulonglong)
VIRTUAL_ROCM_VECTOR_TYPE(float, float)
VIRTUAL_ROCM_VECTOR_TYPE(double, double)
#undef VIRTUAL_ROCM_VECTOR_TYPE

static_assert(sizeof(float4) == 16 && alignof(float4) == 16, "float4 is one 16-byte access");
static_assert(sizeof(float3) == 12 && alignof(float3) == 4, "float3 is packed");
static_assert(sizeof(ulong2) == 16 && alignof(ulong2) == 16, "ulong2 is one 16-byte access");

#else
#error "the HIP vector types need C++"
#endif
