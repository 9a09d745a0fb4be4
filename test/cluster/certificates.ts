/**
 * The certificates of a cluster, made by openssl on its host: an authority, the server's, the administrator's, and
 * the key that service-account tokens are signed by.
 *
 * @module
 */
import type { Host } from "../e2e/host.ts";

/** Makes them in `directory` of the host: ca, server and admin, each `.crt` and `.key`; sa.key and sa.pub. */
export async function makeCertificates(
  host: Host,
  directory: string,
  names: { readonly dns: readonly string[]; readonly ip: readonly string[] },
): Promise<void> {
  const alternatives = [...names.dns.map((name) => `DNS:${name}`), ...names.ip.map((address) => `IP:${address}`)];
  await host.sh(`
    mkdir -p -m 700 ${directory}
    cd ${directory}
    exec 2>openssl.log
    printf 'subjectAltName=${alternatives.join(",")}\\nextendedKeyUsage=serverAuth\\n' >server.ext
    printf 'extendedKeyUsage=clientAuth\\n' >admin.ext
    openssl req -x509 ${NEW_KEY} -keyout ca.key -out ca.crt -days 30 -subj /CN=test-cluster \\
      -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,digitalSignature
    openssl req ${NEW_KEY} -keyout server.key -out server.csr -subj /CN=kube-apiserver
    openssl req ${NEW_KEY} -keyout admin.key -out admin.csr -subj /O=system:masters/CN=admin
    for name in server admin; do
      openssl x509 -req -in $name.csr -out $name.crt -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile $name.ext
    done
    openssl ecparam -genkey -name prime256v1 -noout -out sa.key
    openssl ec -in sa.key -pubout -out sa.pub
  `);
}

const NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
