"""fail2ban with rules for the same log: the same lines, anchored as well as its language allows."""

from harness import peers

_HEAD = r"^ \[\S+\s*\] \[proto=\S* ip=\S* src=\S* rip=\S* sid=\S* auth=\S*\] "


class James(peers.Fail2ban):
    """Reads James' log in the layout of deploy/james/logback-text.xml."""

    def configure(self):
        self.patterns = [
            _HEAD + r"AUTHENTICATION - AUTH method \S+ failed from .*@<HOST>$",
            _HEAD + r"PassCmdHandler - Bad credential supplied for .* with remote address \S*?/?<HOST>$",
            r"^ \[\S+\s*\] \[proto=IMAP ip=<HOST> src=\S* rip=\S* sid=\S* auth=\S*\] "
            r"UsersRepositoryImpl - Could not retrieve user .*\. Password is unverified\.$",
        ]
        super().configure()
