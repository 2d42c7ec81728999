// Numbers of rtnetlink: messages and attributes about interfaces, addresses, routes, neighbours and traffic control.
#include "print.h"
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define SIZE_OF(type) printf("export const SIZEOF_%s = %zu;\n", #type, sizeof(struct type));
// How tc(8) names the ingress discipline itself, and the place of its filters.
#define INGRESS_HANDLE TC_H_MAKE(TC_H_INGRESS, 0)
#define INGRESS_FILTERS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)

#define OFFSET(type, field) printf("export const OFFSETOF_%s_%s = %zu;\n", #type, #field, offsetof(struct type, field));

int main(void)
{
  C(AF_INET) C(AF_INET6)
  // linux/netlink.h
  C(NLM_F_REQUEST) C(NLM_F_ACK) C(NLM_F_DUMP) C(NLM_F_CREATE) C(NLM_F_EXCL) C(NLM_F_REPLACE)
  C(NLM_F_ACK_TLVS) C(NLM_F_DUMP_INTR) C(NLMSG_ERROR) C(NLMSG_DONE) C(NLMSGERR_ATTR_MSG) C(NLA_F_NESTED) C(NLA_TYPE_MASK)
  SIZE_OF(nlmsghdr) OFFSET(nlmsghdr, nlmsg_len) OFFSET(nlmsghdr, nlmsg_type) OFFSET(nlmsghdr, nlmsg_flags)
  OFFSET(nlmsghdr, nlmsg_seq) SIZE_OF(nlmsgerr) OFFSET(nlmsgerr, error) SIZE_OF(nlattr)

  // linux/rtnetlink.h: requests
  C(RTM_NEWLINK) C(RTM_GETLINK) C(RTM_NEWADDR) C(RTM_DELADDR) C(RTM_GETADDR) C(RTM_NEWROUTE) C(RTM_DELROUTE)
  C(RTM_GETROUTE) C(RTM_NEWNEIGH) C(RTM_DELNEIGH) C(RTM_GETNEIGH) C(RTM_NEWQDISC) C(RTM_DELQDISC) C(RTM_NEWTFILTER)

  // linux/if_link.h, linux/if.h
  SIZE_OF(ifinfomsg) OFFSET(ifinfomsg, ifi_type) OFFSET(ifinfomsg, ifi_index) OFFSET(ifinfomsg, ifi_flags)
  OFFSET(ifinfomsg, ifi_change)
  C(IFLA_IFNAME) C(IFLA_ADDRESS) C(IFLA_PERM_ADDRESS) C(IFLA_MTU) C(IFLA_NET_NS_FD)
  C(IFF_UP) C(IFF_LOOPBACK) C(IFF_NOARP) C(ARPHRD_ETHER)

  // linux/if_addr.h
  SIZE_OF(ifaddrmsg) OFFSET(ifaddrmsg, ifa_family) OFFSET(ifaddrmsg, ifa_prefixlen) OFFSET(ifaddrmsg, ifa_flags)
  OFFSET(ifaddrmsg, ifa_scope) OFFSET(ifaddrmsg, ifa_index)
  C(IFA_ADDRESS) C(IFA_LOCAL) C(IFA_BROADCAST) C(IFA_PROTO) C(IFA_F_NODAD) C(IFAPROT_UNSPEC)

  // linux/rtnetlink.h: routes
  SIZE_OF(rtmsg) OFFSET(rtmsg, rtm_family) OFFSET(rtmsg, rtm_dst_len) OFFSET(rtmsg, rtm_table) OFFSET(rtmsg, rtm_protocol)
  OFFSET(rtmsg, rtm_scope) OFFSET(rtmsg, rtm_type) OFFSET(rtmsg, rtm_flags)
  C(RTA_DST) C(RTA_OIF) C(RTA_GATEWAY) C(RTA_PRIORITY) C(RTA_PREFSRC) C(RTA_METRICS) C(RTA_VIA) C(RTA_MULTIPATH)
  C(RTAX_MTU) C(RT_TABLE_MAIN) C(RTPROT_KERNEL) C(RTPROT_REDIRECT) C(RTPROT_RA) C(RTPROT_STATIC) C(RT_SCOPE_UNIVERSE)
  C(RT_SCOPE_LINK) C(RT_SCOPE_HOST) C(RTN_UNICAST) C(RTNH_F_ONLINK) C(RTM_F_CLONED)

  // linux/neighbour.h
  SIZE_OF(ndmsg) OFFSET(ndmsg, ndm_family) OFFSET(ndmsg, ndm_ifindex) OFFSET(ndmsg, ndm_state) C(NDA_DST) C(NDA_LLADDR)
  C(NUD_PERMANENT) C(NUD_NOARP)

  // linux/pkt_sched.h, linux/pkt_cls.h, linux/tc_act/tc_mirred.h
  SIZE_OF(tcmsg) OFFSET(tcmsg, tcm_ifindex) OFFSET(tcmsg, tcm_handle) OFFSET(tcmsg, tcm_parent) OFFSET(tcmsg, tcm_info)
  X(TC_H_INGRESS) X(INGRESS_HANDLE) X(INGRESS_FILTERS) C(TCA_KIND) C(TCA_OPTIONS) C(ETH_P_ALL)
  C(TCA_MATCHALL_ACT) C(TCA_ACT_KIND) C(TCA_ACT_OPTIONS)
  SIZE_OF(tc_mirred) OFFSET(tc_mirred, action) OFFSET(tc_mirred, eaction) OFFSET(tc_mirred, ifindex)
  C(TC_ACT_STOLEN) C(TC_ACT_OK) C(TCA_EGRESS_REDIR) C(TCA_EGRESS_MIRROR) C(TCA_MIRRED_PARMS)
  C(ETH_P_ARP) C(ETH_P_IP) C(ETH_P_IPV6) C(IPPROTO_UDP) C(IPPROTO_TCP) C(IPPROTO_ICMPV6) C(ARPOP_REPLY)
  C(TCA_U32_SEL) C(TCA_U32_ACT) C(TC_U32_TERMINAL)
  SIZE_OF(tc_u32_sel) OFFSET(tc_u32_sel, flags) OFFSET(tc_u32_sel, nkeys)
  SIZE_OF(tc_u32_key) OFFSET(tc_u32_key, mask) OFFSET(tc_u32_key, val) OFFSET(tc_u32_key, off)
  return 0;
}
