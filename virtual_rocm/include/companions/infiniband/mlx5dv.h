// SPDX-License-Identifier: MIT
//
// The work-queue and completion-queue formats of ConnectX cards, as far as device code builds and reads them.
// All multi-byte fields are big-endian in memory.
#pragma once

#include <infiniband/verbs.h>

enum {
  MLX5_RCV_DBR = 0,
  MLX5_SND_DBR = 1,
};
enum {
  MLX5_CQ_SET_CI = 0,
  MLX5_CQ_ARM_DB = 1,
};
enum {
  MLX5_SEND_WQE_BB = 64,
  MLX5_SEND_WQE_SHIFT = 6,
};
enum {
  MLX5_INLINE_SEG = 0x80000000,
};
enum {
  MLX5_WQE_CTRL_CQ_UPDATE = 2 << 2,
  MLX5_WQE_CTRL_SOLICITED = 1 << 1,
  MLX5_WQE_CTRL_FENCE = 4 << 5,
};
enum {
  MLX5_OPCODE_NOP = 0x00,
  MLX5_OPCODE_SEND_INVAL = 0x01,
  MLX5_OPCODE_RDMA_WRITE = 0x08,
  MLX5_OPCODE_RDMA_WRITE_IMM = 0x09,
  MLX5_OPCODE_SEND = 0x0a,
  MLX5_OPCODE_SEND_IMM = 0x0b,
  MLX5_OPCODE_RDMA_READ = 0x10,
  MLX5_OPCODE_ATOMIC_CS = 0x11,
  MLX5_OPCODE_ATOMIC_FA = 0x12,
  MLX5_OPCODE_ATOMIC_MASKED_CS = 0x14,
  MLX5_OPCODE_ATOMIC_MASKED_FA = 0x15,
};
enum {
  MLX5_CQE_OWNER_MASK = 1,
  MLX5_CQE_REQ = 0,
  MLX5_CQE_RESP_WR_IMM = 1,
  MLX5_CQE_RESP_SEND = 2,
  MLX5_CQE_RESP_SEND_IMM = 3,
  MLX5_CQE_RESP_SEND_INV = 4,
  MLX5_CQE_REQ_ERR = 13,
  MLX5_CQE_RESP_ERR = 14,
  MLX5_CQE_INVALID = 15,
};
enum {
  MLX5_CQE_SYNDROME_LOCAL_LENGTH_ERR = 0x01,
  MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR = 0x02,
  MLX5_CQE_SYNDROME_LOCAL_PROT_ERR = 0x04,
  MLX5_CQE_SYNDROME_WR_FLUSH_ERR = 0x05,
  MLX5_CQE_SYNDROME_MW_BIND_ERR = 0x06,
  MLX5_CQE_SYNDROME_BAD_RESP_ERR = 0x10,
  MLX5_CQE_SYNDROME_LOCAL_ACCESS_ERR = 0x11,
  MLX5_CQE_SYNDROME_REMOTE_INVAL_REQ_ERR = 0x12,
  MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR = 0x13,
  MLX5_CQE_SYNDROME_REMOTE_OP_ERR = 0x14,
  MLX5_CQE_SYNDROME_TRANSPORT_RETRY_EXC_ERR = 0x15,
  MLX5_CQE_SYNDROME_RNR_RETRY_EXC_ERR = 0x16,
  MLX5_CQE_SYNDROME_REMOTE_ABORTED_ERR = 0x22,
};

struct mlx5_wqe_ctrl_seg {
  __be32 opmod_idx_opcode;
  __be32 qpn_ds;
  uint8_t signature;
  __be16 dci_stream_channel_id;
  uint8_t fm_ce_se;
  __be32 imm;
} __attribute__((packed, aligned(4)));

struct mlx5_wqe_data_seg {
  __be32 byte_count;
  __be32 lkey;
  __be64 addr;
};

struct mlx5_wqe_raddr_seg {
  __be64 raddr;
  __be32 rkey;
  __be32 reserved;
};

struct mlx5_wqe_atomic_seg {
  __be64 swap_add;
  __be64 compare;
};

struct mlx5_wqe_inl_data_seg {
  uint32_t byte_count;
};

struct mlx5_err_cqe {
  uint8_t rsvd0[32];
  uint32_t srqn;
  uint8_t rsvd1[18];
  uint8_t vendor_err_synd;
  uint8_t syndrome;
  uint32_t s_wqe_opcode_qpn;
  uint16_t wqe_counter;
  uint8_t signature;
  uint8_t op_own;
};

struct mlx5_cqe64 {
  uint8_t rsvd0[2];
  __be16 wqe_id;
  uint8_t rsvd4[13];
  uint8_t ml_path;
  uint8_t rsvd20[4];
  __be16 slid;
  __be32 flags_rqpn;
  uint8_t hds_ip_ext;
  uint8_t l4_hdr_type_etc;
  __be16 vlan_info;
  __be32 srqn_uidx;
  __be32 imm_inval_pkey;
  uint8_t app;
  uint8_t app_op;
  __be16 app_info;
  __be32 byte_cnt;
  __be64 timestamp;
  __be32 sop_drop_qpn;
  __be16 wqe_counter;
  uint8_t signature;
  uint8_t op_own;
};

#if defined(__cplusplus)
static_assert(sizeof(mlx5_wqe_ctrl_seg) == 16 && sizeof(mlx5_err_cqe) == 64 && sizeof(mlx5_cqe64) == 64,
              "the hardware's formats");
#endif

static inline uint8_t mlx5dv_get_cqe_owner(struct mlx5_cqe64* cqe) {
  return cqe->op_own & MLX5_CQE_OWNER_MASK;
}
static inline uint8_t mlx5dv_get_cqe_opcode(struct mlx5_cqe64* cqe) { return cqe->op_own >> 4; }
