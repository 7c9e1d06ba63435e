"""What to do where a directory of ours has too little space: how to choose another disk, on a host of Ansible's and on any other."""

FOR_BACKUPS = "free some space, or choose a larger disk: pgkeeper_backup_dir where Ansible deploys, else BACKUP_DIR"
FOR_PROOFS = "free some space, or choose a larger disk with BACKUP_PROOF_DIR: in pgkeeper_settings where Ansible deploys"
