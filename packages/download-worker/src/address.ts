/**
 * Which addresses may be connected to: public unicast only. Everything else is somebody's inside: loopback, private and
 * shared ranges, link-local (where clouds keep their metadata services), multicast, documentation, tunnels. An IPv4
 * address inside an IPv6 one counts as what it is: mapped (`::ffff:10.0.0.1`) and through NAT64 (`64:ff9b::10.0.0.1`),
 * which IPv6-only clusters need for every public IPv4 host.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Azure's host endpoint (DNS, DHCP, metadata): public by number, internal by meaning. */
const DENIED = new Set(['168.63.129.16']);
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');

/** Why the address is refused, in a word or two; undefined for a public unicast address. */
export function refusalOf(address: string): string | undefined {
  const bare = address.replace(/%.*$/, '');
  // Stricter than ipaddr.js, which reads "1.2.3" as an address too.
  if (isIP(bare) === 0) return 'not an address';
  return refusal(ipaddr.process(bare));
}

function refusal(address: ipaddr.IPv4 | ipaddr.IPv6): string | undefined {
  if (address instanceof ipaddr.IPv6) {
    if (address.match(NAT64)) return refusal(new ipaddr.IPv4(address.toByteArray().slice(12)));
    // All that is public is in 2000::/3 so far. Outside: withdrawn site-local, IPv4-compatible (::7f00:1), unassigned.
    if ((address.parts[0]! & 0xe000) !== 0x2000) return address.range() === 'unicast' ? 'not global' : address.range();
  } else if (DENIED.has(address.toString())) {
    return 'cloud host endpoint';
  }
  const range = address.range();
  return range === 'unicast' ? undefined : range;
}
