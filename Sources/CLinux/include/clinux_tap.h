// Tap devices of the kernel: <linux/if_tun.h>, whose numbers are made by casts, and a variadic ioctl.
#pragma once

#include <linux/ioctl.h>
#include <linux/if_tun.h>
#include <stdint.h>

static const uint16_t CLINUX_IFF_TAP = IFF_TAP;
static const uint16_t CLINUX_IFF_NO_PI = IFF_NO_PI;
static const uint16_t CLINUX_IFF_VNET_HDR = IFF_VNET_HDR;
static const uint16_t CLINUX_IFF_MULTI_QUEUE = IFF_MULTI_QUEUE;
static const uint16_t CLINUX_IFF_ATTACH_QUEUE = IFF_ATTACH_QUEUE;
static const uint16_t CLINUX_IFF_DETACH_QUEUE = IFF_DETACH_QUEUE;
static const unsigned long CLINUX_TUNSETIFF = TUNSETIFF;
static const unsigned long CLINUX_TUNSETOFFLOAD = TUNSETOFFLOAD;
static const unsigned long CLINUX_TUNSETQUEUE = TUNSETQUEUE;
static const unsigned long CLINUX_TUNSETVNETHDRSZ = TUNSETVNETHDRSZ;
// Of <linux/sockios.h>.
static const unsigned long CLINUX_SIOCGIFMTU = 0x8921;

// Declared here and not by <sys/ioctl.h>: a C header belongs to the first module that includes it, and
// that one is Glibc's.
int ioctl(int descriptor, unsigned long request, ...);

static inline int clinux_ioctl_value(int descriptor, unsigned long request, unsigned long value) {
  return ioctl(descriptor, request, value);
}
static inline int clinux_ioctl_pointer(int descriptor, unsigned long request, void *_Nonnull argument) {
  return ioctl(descriptor, request, argument);
}
