/**
 * Numbers of the kernel's headers: linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_conntrack.h, linux/in.h,
 * linux/netfilter.h.
 *
 * @module
 */

export const NFNL_SUBSYS_CTNETLINK = 1;
export const IPCTNL_MSG_CT_GET = 1;
export const IPCTNL_MSG_CT_DELETE = 2;

export const CTA_TUPLE_ORIG = 1;
export const CTA_TUPLE_REPLY = 2;
export const CTA_ID = 12;
export const CTA_ZONE = 18;
export const CTA_TUPLE_IP = 1;
export const CTA_TUPLE_PROTO = 2;
export const CTA_IP_V4_SRC = 1;
export const CTA_IP_V4_DST = 2;
export const CTA_IP_V6_SRC = 3;
export const CTA_IP_V6_DST = 4;
export const CTA_PROTO_NUM = 1;
export const CTA_PROTO_SRC_PORT = 2;
export const CTA_PROTO_DST_PORT = 3;

export const IPPROTO = { tcp: 6, udp: 17, sctp: 132 } as const;
export const NFPROTO = { 4: 2, 6: 10 } as const;
