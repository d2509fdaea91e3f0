import { describe, expect, test } from 'vitest';
import { refusalOf } from './address.ts';

describe('refused', () => {
  test.each([
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.1',
    '192.0.2.1',
    '192.88.99.1',
    '192.168.1.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.1',
    '224.0.0.1',
    '239.255.255.255',
    '240.0.0.1',
    '255.255.255.255',
    '168.63.129.16',
  ])('IPv4 %s', (address) => {
    expect(refusalOf(address)).toBeDefined();
    // The same inside IPv6: mapped, and through NAT64.
    expect(refusalOf(`::ffff:${address}`)).toBeDefined();
    expect(refusalOf(`64:ff9b::${address}`)).toBeDefined();
  });

  test.each([
    '::',
    '::1',
    'fe80::1',
    'fe80::1%eth0',
    'fc00::1',
    'fd12:3456::1',
    'fec0::1',
    'ff02::1',
    '2001:db8::1',
    '2002:7f00:1::',
    '2001::1',
    '64:ff9b:1::a00:1',
    '100::1',
    '::ffff:0:7f00:1',
    '::7f00:1',
    '0:0:0:0:0:ffff:7f00:1',
  ])('IPv6 %s', (address) => {
    expect(refusalOf(address)).toBeDefined();
  });

  test.each(['', 'localhost', '1.2.3', '::g', '300.1.1.1'])('%j, which is no address', (address) => {
    expect(refusalOf(address)).toBeDefined();
  });
});

test.each([
  '1.1.1.1',
  '8.8.8.8',
  '52.218.0.1',
  '172.32.0.1',
  '2606:4700::1111',
  '2a00:1450::200e',
  '::ffff:8.8.8.8',
  '64:ff9b::8.8.8.8',
])('public address %s is taken', (address) => {
  expect(refusalOf(address)).toBeUndefined();
});
