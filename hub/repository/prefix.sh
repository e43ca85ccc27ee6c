# Sourced by the scripts beside it: where an environment lies, by its kind and name.
case $kind in
  session) prefix=/opt/panhub/environment ;;
  kernel) prefix=/opt/panhub/kernels/$name ;;
esac
